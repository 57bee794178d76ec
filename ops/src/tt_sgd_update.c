/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_optimizer.h"

void tt_sgd_update(float *restrict row, const float *restrict gradient, uint32_t count, float learning_rate) {
    for (uint32_t i = 0; i < count; ++i) {
        row[i] -= learning_rate * gradient[i];
    }
}
