/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_tanh_grad(const float *g, const float *y, uint32_t count, float *dx) {
    for (uint32_t i = 0; i < count; ++i) {
        dx[i] = g[i] * (1.0f - y[i] * y[i]);
    }
}
