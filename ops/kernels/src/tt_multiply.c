/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_elementwise.h"

void tt_multiply(const float *a, const float *b, uint32_t count, float *y) {
    for (uint32_t i = 0; i < count; ++i) {
        y[i] = a[i] * b[i];
    }
}
