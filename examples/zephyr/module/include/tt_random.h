/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_RANDOM_H
#define TT_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A small seeded generator: PCG32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
 * for Random Number Generation", 2014; the variant called XSH RR 64/32). The numbers are the same bits on every
 * platform. Not for secrets.
 *
 * The caller owns the struct; no pointer below may be NULL, and nothing is checked here.
 */
typedef struct {
    uint64_t state;
    uint64_t increment; /* odd: which of the sequences of the generator this is */
} tt_random_t;

/*
 * Begins the sequence that belongs to the three numbers. The same three begin the same sequence again, so what was
 * drawn for one sample of one iteration can be drawn a second time without having been kept. For one seed, every pair
 * (iteration, index) has a starting point of its own. All values are allowed.
 *
 * random: out.
 */
void tt_random_seed(tt_random_t *random, uint32_t seed, uint32_t iteration, uint32_t index);

/* The next number, uniform over all 32-bit values. random: in and out, seeded. */
uint32_t tt_random_next(tt_random_t *random);

/*
 * The next number, uniform over the multiples of 2^-24 in [0, 1): every result is exact. Draws once.
 *
 * random: in and out, seeded.
 */
float tt_random_uniform(tt_random_t *random);

/*
 * The next number, uniform over 0 .. bound - 1 without a bias towards small ones: draws again where needed, less than
 * twice on average.
 *
 * random: in and out, seeded.
 * bound:  at least 1.
 */
uint32_t tt_random_below(tt_random_t *random, uint32_t bound);

#ifdef __cplusplus
}
#endif

#endif /* TT_RANDOM_H */
