/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "tt_optimizer.h"

void tt_sgd_update(float *restrict row, const float *restrict gradient, uint32_t count, const float *hyper) {
    const float learning_rate = hyper[0];
    for (uint32_t i = 0; i < count; ++i) {
        row[i] -= learning_rate * gradient[i];
    }
}

const tt_optimizer_t tt_optimizer_sgd = {"sgd", 1u, NULL, NULL};
