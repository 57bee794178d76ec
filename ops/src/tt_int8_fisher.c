/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_int8.h"

void tt_int8_fisher_add(const int8_t *activation, float scale, int32_t zero, const float *gradient, uint32_t positions,
                        uint32_t channels, float *potential) {
    uint32_t o;
    for (o = 0; o < channels; ++o) {
        const int8_t *code = activation + o;
        const float *g = gradient + o;
        float sum = 0.0f;
        uint32_t d;
        for (d = 0; d < positions; ++d) {
            sum += (float)(*code - zero) * *g;
            code += channels;
            g += channels;
        }
        sum *= scale;
        potential[o] += sum * sum;
    }
}
