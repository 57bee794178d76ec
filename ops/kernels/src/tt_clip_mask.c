/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_activation.h"

#define WORD_BITS 32u

void tt_clip_mask(const float *y, uint32_t count, float low, float high, uint32_t *mask) {
    for (uint32_t first = 0; first < count; first += WORD_BITS) {
        const uint32_t bits = count - first < WORD_BITS ? count - first : WORD_BITS;
        uint32_t word = 0u;
        for (uint32_t b = 0; b < bits; ++b) {
            const float value = y[first + b];
            word |= (value > low && value < high ? 1u : 0u) << b;
        }
        mask[first / WORD_BITS] = word;
    }
}
