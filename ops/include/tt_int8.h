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
#include <string.h>

/* Whether the core has the instructions of the DSP extension, and the compiler a way to ask for them. */
#if defined(__ARM_FEATURE_SIMD32) && defined(__GNUC__)
#define TT_ARM_DSP
#include <arm_acle.h>
#endif

#include "tt_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * value times the factor, rounded as the reference kernels round: to the nearest after the multiplication (halves up),
 * and again after the shift (halves away from zero). Saturates where a shift above 0 overflows.
 */
int32_t tt_int8_requantize(int32_t value, int32_t multiplier, int32_t shift);

/* a * b / 2^32, halves rounded up. */
static inline int32_t tt_high_product(int32_t a, int32_t b) {
#if defined(TT_ARM_DSP)
    int32_t product;
    __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* A factor made ready for many values. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
    int32_t half;   /* of the divisor that the shift is */
    uint32_t limit; /* values from -limit to limit - 1 take few instructions */
} tt_requantizer_t;

static inline tt_requantizer_t tt_requantizer(int32_t multiplier, int32_t shift) {
    tt_requantizer_t by = {multiplier, shift, 0, 0u};
    if (shift < 0) {
        by.half = (int32_t)(((uint32_t)1 << -shift) >> 1);
        by.limit = (uint32_t)1 << 30;
    }
    return by;
}

/* The same as tt_int8_requantize. */
static inline int32_t tt_requantized(int32_t value, tt_requantizer_t by) {
    int32_t high;
    if ((uint32_t)value + by.limit >= 2u * by.limit) {
        return tt_int8_requantize(value, by.multiplier, by.shift);
    }
    high = tt_high_product(2 * value, by.multiplier);
    return (high + by.half + (high >> 31)) >> -by.shift;
}

/* value within low .. high, both int8. */
static inline int8_t tt_saturated(int32_t value, int32_t low, int32_t high) {
#if defined(TT_ARM_DSP)
    if (low == INT8_MIN && high == INT8_MAX) {
        int32_t saturated;
        __asm__("ssat %0, #8, %1" : "=r"(saturated) : "r"(value));
        return (int8_t)saturated;
    }
#endif
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* sum / count, halves rounded away from zero. count: positive. */
static inline int32_t tt_rounded_mean(int32_t sum, int32_t count) {
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

/*
 * Four neighbouring codes less the code of zero, and the sum of their products with four others: where there are
 * instructions for two products of 16 bits at once, the first and third lie side by side, and the second and fourth.
 *
 * address: of four codes, at any alignment. zeros: tt_zeros(zero), worked out once.
 */
#if defined(TT_ARM_DSP)
typedef struct {
    int16x2_t even;
    int16x2_t odd;
} tt_quad_t;
typedef int16x2_t tt_zeros_t;

static inline tt_zeros_t tt_zeros(int32_t zero) {
    return (tt_zeros_t)(((uint32_t)zero & 0xffffu) * 0x10001u);
}

static inline tt_quad_t tt_quad(const int8_t *address) {
    int8x4_t codes;
    tt_quad_t quad;
    memcpy(&codes, address, sizeof codes);
    quad.even = __sxtb16(codes);
    /* The compiler would take two instructions: it knows sxtb16 without its rotation. */
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(quad.odd) : "r"(codes));
    return quad;
}

static inline tt_quad_t tt_quad_less(const int8_t *address, tt_zeros_t zeros) {
    tt_quad_t quad = tt_quad(address);
    quad.even = __ssub16(quad.even, zeros);
    quad.odd = __ssub16(quad.odd, zeros);
    return quad;
}

static inline int32_t tt_quad_product(int32_t sum, tt_quad_t a, tt_quad_t b) {
    return __smlad(a.odd, b.odd, __smlad(a.even, b.even, sum));
}
#else
typedef struct {
    int32_t codes[4];
} tt_quad_t;
typedef int32_t tt_zeros_t;

static inline tt_zeros_t tt_zeros(int32_t zero) {
    return zero;
}

static inline tt_quad_t tt_quad_less(const int8_t *address, tt_zeros_t zeros) {
    const tt_quad_t quad = {{address[0] - zeros, address[1] - zeros, address[2] - zeros, address[3] - zeros}};
    return quad;
}

static inline tt_quad_t tt_quad(const int8_t *address) {
    return tt_quad_less(address, 0);
}

static inline int32_t tt_quad_product(int32_t sum, tt_quad_t a, tt_quad_t b) {
    return sum + a.codes[0] * b.codes[0] + a.codes[1] * b.codes[1] + a.codes[2] * b.codes[2] + a.codes[3] * b.codes[3];
}
#endif

/* Four multiply-accumulates. An instrumented build counts them. */
#ifdef TT_COUNT_MACS
#define TT_MAC_QUAD(sum, a, b) (tt_mac_count += 4u, tt_quad_product(sum, a, b))
#else
#define TT_MAC_QUAD(sum, a, b) tt_quad_product(sum, a, b)
#endif

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
