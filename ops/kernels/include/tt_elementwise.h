/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_ELEMENTWISE_H
#define TT_ELEMENTWISE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sums and products. All arrays are float32, caller-owned. An output of the size of an input may be that input;
 * otherwise arrays do not overlap. Sizes are 0 or more, arrays below 2^29 elements. Nothing is checked.
 */

/* y = a * b. Arrays are [count]. */
void tt_multiply(const float *a, const float *b, uint32_t count, float *y);

/* sum += g. Arrays are [count]; sum is in and out. */
void tt_add_to(const float *g, uint32_t count, float *sum);

/* y[p][c] = x[p][c] * scale[c] + shift[c]. x, y: [positions][channels]; scale, shift: [channels], not y. */
void tt_affine(const float *x, const float *scale, const float *shift, uint32_t positions, uint32_t channels, float *y);

/* y[p][c] = x[p][c] * gate[c]. x, y: [positions][channels]; gate: [channels], not y. */
void tt_multiply_channel(const float *x, const float *gate, uint32_t positions, uint32_t channels, float *y);

/* y[c] = sum over p of a[p][c] * b[p][c], by rising p. a, b: [positions][channels]; y: [channels], neither of them. */
void tt_channel_dot(const float *a, const float *b, uint32_t positions, uint32_t channels, float *y);

#ifdef __cplusplus
}
#endif

#endif /* TT_ELEMENTWISE_H */
