/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_hard_swish_grad(const float *g, const float *x, uint32_t count, float *dx) {
    for (uint32_t i = 0; i < count; ++i) {
        const float between = x[i] > -3.0f ? (x[i] + x[i] + 3.0f) * (1.0f / 6.0f) : 0.0f;
        dx[i] = g[i] * (x[i] < 3.0f ? between : 1.0f);
    }
}
