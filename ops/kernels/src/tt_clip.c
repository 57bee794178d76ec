/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

#include "tt_kernel.h"

void tt_clip(const float *x, uint32_t count, float low, float high, float *y) {
    for (uint32_t i = 0; i < count; ++i) {
        y[i] = tt_min(tt_max(x[i], low), high);
    }
}
