/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generated kernels are written with. Internal: applications include tt_model.h.
 *
 * tt_pair_t: two neighbouring floats, loaded and stored as one 64-bit access where the compiler knows may_alias;
 * addresses are 8-byte aligned. On Cortex-M with an FPU that is one vldr.64 or vstr.64.
 */
#ifndef TT_KERNEL_H
#define TT_KERNEL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tt_rows.h"

typedef union {
    double bits;
    float f[2];
} tt_pair_t;

#if defined(__GNUC__)
#define TT_NOINLINE __attribute__((noinline))
#define TT_ALIGNED __attribute__((aligned(16)))
#define TT_INLINE static inline __attribute__((always_inline))
typedef double __attribute__((may_alias)) tt_pair_bits_t;
TT_INLINE tt_pair_t TT_LOAD_PAIR(const float *address) {
    tt_pair_t pair;
    pair.bits = *(const tt_pair_bits_t *)(const void *)address;
    return pair;
}
TT_INLINE void TT_STORE_PAIR(float *address, float first, float second) {
    tt_pair_t pair;
    pair.f[0] = first;
    pair.f[1] = second;
    *(tt_pair_bits_t *)(void *)address = pair.bits;
}
#else
#define TT_NOINLINE
#define TT_ALIGNED
#define TT_INLINE static inline
TT_INLINE tt_pair_t TT_LOAD_PAIR(const float *address) {
    tt_pair_t pair;
    memcpy(&pair, address, sizeof pair);
    return pair;
}
TT_INLINE void TT_STORE_PAIR(float *address, float first, float second) {
    address[0] = first;
    address[1] = second;
}
#endif

/* One multiply-accumulate. An instrumented build counts them. */
#ifdef TT_COUNT_MACS
extern uint64_t tt_mac_count;
#define TT_MAC(accumulator, a, b) (tt_mac_count += 1u, (accumulator) + (a) * (b))
#else
#define TT_MAC(accumulator, a, b) ((accumulator) + (a) * (b))
#endif

TT_INLINE float tt_max(float a, float b) {
    return a > b ? a : b;
}
TT_INLINE float tt_min(float a, float b) {
    return a < b ? a : b;
}
TT_INLINE int32_t tt_max_i32(int32_t a, int32_t b) {
    return a > b ? a : b;
}
TT_INLINE int32_t tt_min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* 1 / (1 + exp(-x)), without overflow for large negative x. */
TT_INLINE float tt_sigmoid(float x) {
    const float e = expf(x < 0.0f ? x : -x);
    return x < 0.0f ? e / (1.0f + e) : 1.0f / (1.0f + e);
}

#endif /* TT_KERNEL_H */
