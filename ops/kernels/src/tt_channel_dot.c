/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_elementwise.h"

void tt_channel_dot(const float *a, const float *b, uint32_t positions, uint32_t channels, float *y) {
    for (uint32_t c = 0; c < channels; ++c) {
        float total = 0.0f;
        uint32_t i = c;
        for (uint32_t p = 0; p < positions; ++p) {
            total += a[i] * b[i];
            i += channels;
        }
        y[c] = total;
    }
}
