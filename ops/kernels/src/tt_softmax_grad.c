/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

void tt_softmax_grad(const float *g, const float *y, uint32_t rows, uint32_t classes, float *dx) {
    for (uint32_t row = 0; row < rows; ++row) {
        float total = 0.0f;
        for (uint32_t c = 0; c < classes; ++c) {
            total += g[c] * y[c];
        }
        for (uint32_t c = 0; c < classes; ++c) {
            dx[c] = y[c] * (g[c] - total);
        }
        g += classes;
        y += classes;
        dx += classes;
    }
}
