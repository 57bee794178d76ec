/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_clip_grad(const float *g, const float *y, uint32_t count, float low, float high, float *dx) {
    for (uint32_t i = 0; i < count; ++i) {
        dx[i] = y[i] > low && y[i] < high ? g[i] : 0.0f;
    }
}
