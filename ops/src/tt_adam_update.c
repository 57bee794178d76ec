/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "tt_optimizer.h"

static void restart(float *hyper) {
    hyper[TT_ADAM_BETA_1_POWER] = 1.0f;
    hyper[TT_ADAM_BETA_2_POWER] = 1.0f;
}

void tt_adam_next_step(float *hyper) {
    hyper[TT_ADAM_BETA_1_POWER] *= hyper[TT_ADAM_BETA_1];
    hyper[TT_ADAM_BETA_2_POWER] *= hyper[TT_ADAM_BETA_2];
}

void tt_adam_update(float *restrict row, float *restrict first_moment, float *restrict second_moment,
                    const float *restrict gradient, uint32_t count, const float *hyper) {
    const float alpha =
        hyper[TT_ADAM_LEARNING_RATE] * sqrtf(1.0f - hyper[TT_ADAM_BETA_2_POWER]) / (1.0f - hyper[TT_ADAM_BETA_1_POWER]);
    const float first_rate = 1.0f - hyper[TT_ADAM_BETA_1];
    const float second_rate = 1.0f - hyper[TT_ADAM_BETA_2];
    const float epsilon = hyper[TT_ADAM_EPSILON];
    for (uint32_t i = 0; i < count; ++i) {
        const float g = gradient[i];
        first_moment[i] += (g - first_moment[i]) * first_rate;
        second_moment[i] += (g * g - second_moment[i]) * second_rate;
        row[i] -= alpha * first_moment[i] / (sqrtf(second_moment[i]) + epsilon);
    }
}

const tt_optimizer_t tt_optimizer_adam = {"adam", TT_ADAM_ELEMENTS, restart, tt_adam_next_step};
