/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_elementwise.h"

void tt_multiply_channel(const float *x, const float *gate, uint32_t positions, uint32_t channels, float *y) {
    for (uint32_t p = 0; p < positions; ++p) {
        for (uint32_t c = 0; c < channels; ++c) {
            y[c] = x[c] * gate[c];
        }
        x += channels;
        y += channels;
    }
}
