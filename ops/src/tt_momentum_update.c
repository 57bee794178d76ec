/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_optimizer.h"

void tt_momentum_update(float *restrict row, float *restrict velocity, const float *restrict gradient, uint32_t count,
                        float learning_rate, float momentum) {
    for (uint32_t i = 0; i < count; ++i) {
        velocity[i] = momentum * velocity[i] - learning_rate * gradient[i];
        row[i] += velocity[i];
    }
}
