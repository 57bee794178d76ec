/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_sigmoid_grad(const float *g, const float *y, uint32_t count, float *dx) {
    for (uint32_t i = 0; i < count; ++i) {
        dx[i] = g[i] * y[i] * (1.0f - y[i]);
    }
}
