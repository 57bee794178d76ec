/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic of int8 tensors as TensorFlow Lite's reference kernels have it: real = scale * (code - zero). Internal to
 * the generated kernels. Codes are int8, low and high within -128 .. 127.
 *
 * A positive real factor is a multiplier of 2^30 .. 2^31 - 1 (or 0) and a shift: factor = multiplier * 2^(shift - 31).
 */
#ifndef TT_INT8_H
#define TT_INT8_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* value * multiplier / 2^31, halves rounded up. multiplier is not negative. */
static inline int32_t tt_high_product(int32_t value, int32_t multiplier) {
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent, halves rounded away from zero. exponent: 0 .. 31. */
static inline int32_t tt_rounded_quotient(int32_t value, int32_t exponent) {
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
    return (value >> exponent) + ((value & mask) > threshold ? 1 : 0);
}

/* value times the factor, rounded as the reference kernels round: twice. Saturates where a shift above 0 overflows. */
static inline int32_t tt_requantized(int32_t value, int32_t multiplier, int32_t shift) {
    if (shift > 0) {
        const int64_t shifted = (int64_t)value * ((int64_t)1 << shift);
        value = shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
        shift = 0;
    }
    return tt_rounded_quotient(tt_high_product(value, multiplier), -shift);
}

/* value within low .. high, both int8. */
static inline int8_t tt_saturated(int32_t value, int32_t low, int32_t high) {
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* sum / count, halves rounded away from zero. count: positive. */
static inline int32_t tt_rounded_mean(int32_t sum, int32_t count) {
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

/*
 * codes = x / scale + zero, rounded to the nearest (halves away from zero) and saturated.
 *
 * x: in, [count], finite. scale: positive. zero: -128 .. 127. codes: out, [count], not overlapping x.
 */
void tt_int8_quantize(const float *x, uint32_t count, float scale, int32_t zero, int8_t *codes);

/*
 * tt_fisher_add (tt_fisher.h) for an int8 activation, real = scale * (code - zero).
 */
void tt_int8_fisher_add(const int8_t *activation, float scale, int32_t zero, const float *gradient, uint32_t positions,
                        uint32_t channels, float *potential);

#ifdef __cplusplus
}
#endif

#endif /* TT_INT8_H */
