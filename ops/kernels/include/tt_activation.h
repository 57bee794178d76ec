/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_ACTIVATION_H
#define TT_ACTIVATION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gradients of activations, and the one activation that TensorFlow Lite lacks: a clip of any bounds.
 *
 * All arrays are float32 [count], masks apart, and caller-owned. An output may be one of the float inputs of its call;
 * otherwise arrays do not overlap. count is 0 or more and below 2^29. Nothing is checked.
 *
 * x: input of the activation; y: its output; g: gradient of the loss with respect to y; dx: with respect to x.
 * low, high: low <= high; -FLT_MAX and FLT_MAX where there is no bound.
 */

/* y = min(max(x, low), high) */
void tt_clip(const float *x, uint32_t count, float low, float high, float *y);

/* dx = g where low < y < high, 0 elsewhere */
void tt_clip_grad(const float *g, const float *y, uint32_t count, float low, float high, float *dx);

/* Words of a mask of count elements: count / 32, rounded up. */
static inline uint32_t tt_mask_words(uint32_t count) {
    return (count + 31u) / 32u;
}

/*
 * Keeps one bit of each output for the backward pass: bit i % 32 of mask[i / 32] is set where low < y[i] < high.
 *
 * mask: out, [tt_mask_words(count)]; the bits past the last element are 0.
 */
void tt_clip_mask(const float *y, uint32_t count, float low, float high, uint32_t *mask);

/* dx = g where the bit of the mask is set, 0 elsewhere. mask: in, as tt_clip_mask makes it. */
void tt_mask_grad(const float *g, const uint32_t *mask, uint32_t count, float *dx);

/* Leaky ReLU: dx = g where y > 0, alpha * g elsewhere */
void tt_leaky_relu_grad(const float *g, const float *y, uint32_t count, float alpha, float *dx);

/* Hard swish: dx = g * slope, slope = 0 for x <= -3, 1 for x >= 3, (2 x + 3) / 6 between */
void tt_hard_swish_grad(const float *g, const float *x, uint32_t count, float *dx);

/* Sigmoid: dx = g * y * (1 - y) */
void tt_sigmoid_grad(const float *g, const float *y, uint32_t count, float *dx);

/* Hyperbolic tangent: dx = g * (1 - y * y) */
void tt_tanh_grad(const float *g, const float *y, uint32_t count, float *dx);

/* Softmax: dx = y * (g - sum of g * y), over the classes of each row. Arrays are [rows][classes]. */
void tt_softmax_grad(const float *g, const float *y, uint32_t rows, uint32_t classes, float *dx);

#ifdef __cplusplus
}
#endif

#endif /* TT_ACTIVATION_H */
