/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_leaky_relu_grad(const float *g, const float *y, uint32_t count, float alpha, float *dx) {
    for (uint32_t i = 0; i < count; ++i) {
        dx[i] = y[i] > 0.0f ? g[i] : alpha * g[i];
    }
}
