/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_random.h"

#define TT_PCG_MULTIPLIER 6364136223846793005u
#define TT_GOLDEN_RATIO 0x9e3779b97f4a7c15u
#define TT_TWO_TO_MINUS_24 (1.0f / 16777216.0f)

/* The finaliser of SplitMix64, a bijection: different numbers stay different, however close they were. */
static uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

void tt_random_seed(tt_random_t *random, uint32_t seed, uint32_t iteration, uint32_t index) {
    const uint64_t of_seed = mixed(seed + TT_GOLDEN_RATIO);
    const uint64_t of_sample = ((uint64_t)iteration << 32) | index;
    random->state = mixed(of_seed ^ of_sample);
    random->increment = mixed(random->state + TT_GOLDEN_RATIO) | 1u;
}

uint32_t tt_random_next(tt_random_t *random) {
    const uint64_t state = random->state;
    random->state = state * TT_PCG_MULTIPLIER + random->increment;
    const uint32_t bits = (uint32_t)(((state >> 18) ^ state) >> 27);
    const uint32_t rotation = (uint32_t)(state >> 59);
    return (bits >> rotation) | (bits << ((32u - rotation) & 31u));
}

float tt_random_uniform(tt_random_t *random) {
    return (float)(tt_random_next(random) >> 8) * TT_TWO_TO_MINUS_24;
}

uint32_t tt_random_below(tt_random_t *random, uint32_t bound) {
    /* 2^32 modulo bound: without that many of the smallest numbers, every remainder is equally likely. */
    const uint32_t surplus = (0u - bound) % bound;
    uint32_t drawn = tt_random_next(random);
    while (drawn < surplus) {
        drawn = tt_random_next(random);
    }
    return drawn % bound;
}
