/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "tt_optimizer.h"

void tt_momentum_update(float *restrict row, float *restrict velocity, const float *restrict gradient, uint32_t count,
                        const float *hyper) {
    const float learning_rate = hyper[0];
    const float momentum = hyper[1];
    for (uint32_t i = 0; i < count; ++i) {
        velocity[i] = momentum * velocity[i] - learning_rate * gradient[i];
        row[i] += velocity[i];
    }
}

const tt_optimizer_t tt_optimizer_momentum = {"momentum", 2u, NULL, NULL};
