/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

#define WORD_BITS 32u

void tt_mask_grad(const float *g, const uint32_t *mask, uint32_t count, float *dx) {
    for (uint32_t first = 0; first < count; first += WORD_BITS) {
        const uint32_t bits = count - first < WORD_BITS ? count - first : WORD_BITS;
        const uint32_t word = mask[first / WORD_BITS];
        for (uint32_t b = 0; b < bits; ++b) {
            dx[first + b] = (word >> b & 1u) != 0u ? g[first + b] : 0.0f;
        }
    }
}
