/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The correlation that the forward pass and the input gradient of a depthwise convolution both are. Internal to
 * ops/kernels.
 */
#ifndef TT_DEPTHWISE_CORRELATE_H
#define TT_DEPTHWISE_CORRELATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One axis: destination q * step + start, for q below count, gathers for m below taps the source
 * q * source_step + source_start + m with tap number tap + m * tap_step. Sources outside [0, size) are padding.
 */
typedef struct {
    int32_t count;
    int32_t step;
    int32_t start;
    int32_t source_step;
    int32_t source_start;
    int32_t taps;
    int32_t tap;
    int32_t tap_step;
    int32_t size;
} tt_axis_t;

/*
 * target = min(max(seed + sum of source * tap, low), high), for all channels, which are neighbours everywhere. seed,
 * the start of the sums, is [channels] (a bias), NULL for zeros, or target, which is then added to. low and high count
 * where bounded is set, and always with a bias.
 */
typedef struct {
    tt_axis_t vertical;
    tt_axis_t horizontal;
    const float *source;
    const float *taps;
    const float *seed;
    float *target;
    int32_t channels;     /* also the pitch of columns and taps */
    int32_t source_width; /* columns */
    int32_t target_width;
    int32_t tap_width;
    bool bounded; /* whether low and high count */
    float low;
    float high;
} tt_correlation_t;

void tt_depthwise_correlate(const tt_correlation_t *correlation);

#endif /* TT_DEPTHWISE_CORRELATE_H */
