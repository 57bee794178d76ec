/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_optimizer.h"

#include <math.h>

void tt_adam_next_step(tt_adam_t *adam) {
    adam->beta_1_power *= adam->beta_1;
    adam->beta_2_power *= adam->beta_2;
}

void tt_adam_update(float *restrict row, float *restrict first_moment, float *restrict second_moment,
                    const float *restrict gradient, uint32_t count, const tt_adam_t *adam) {
    const float alpha = adam->learning_rate * sqrtf(1.0f - adam->beta_2_power) / (1.0f - adam->beta_1_power);
    const float first_rate = 1.0f - adam->beta_1;
    const float second_rate = 1.0f - adam->beta_2;
    const float epsilon = adam->epsilon;
    for (uint32_t i = 0; i < count; ++i) {
        const float g = gradient[i];
        first_moment[i] += (g - first_moment[i]) * first_rate;
        second_moment[i] += (g * g - second_moment[i]) * second_rate;
        row[i] -= alpha * first_moment[i] / (sqrtf(second_moment[i]) + epsilon);
    }
}
