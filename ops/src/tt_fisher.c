/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_fisher.h"

#include <stddef.h>

static void accumulate_one(const float *restrict activation, const float *restrict gradient, uint32_t positions,
                           uint32_t channels, float *restrict potential) {
    float sum = 0.0f;
    for (uint32_t d = 0; d < positions; ++d) {
        sum += *activation * *gradient;
        activation += channels;
        gradient += channels;
    }
    *potential += sum * sum;
}

/* Four neighbouring channels share the cost of the loop and of the cache line; their sums fit into registers. */
static void accumulate_four(const float *restrict activation, const float *restrict gradient, uint32_t positions,
                            uint32_t channels, float *restrict potential) {
    float sum_0 = 0.0f;
    float sum_1 = 0.0f;
    float sum_2 = 0.0f;
    float sum_3 = 0.0f;
    for (uint32_t d = 0; d < positions; ++d) {
        sum_0 += activation[0] * gradient[0];
        sum_1 += activation[1] * gradient[1];
        sum_2 += activation[2] * gradient[2];
        sum_3 += activation[3] * gradient[3];
        activation += channels;
        gradient += channels;
    }
    potential[0] += sum_0 * sum_0;
    potential[1] += sum_1 * sum_1;
    potential[2] += sum_2 * sum_2;
    potential[3] += sum_3 * sum_3;
}

void tt_fisher_add(const float *activation, const float *gradient, uint32_t positions, uint32_t channels,
                   float *potential) {
    uint32_t o = 0;
    for (; channels - o >= 4u; o += 4u) {
        accumulate_four(activation + o, gradient + o, positions, channels, potential + o);
    }
    for (; o < channels; ++o) {
        accumulate_one(activation + o, gradient + o, positions, channels, potential + o);
    }
}
