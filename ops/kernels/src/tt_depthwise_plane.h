/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways to compute a plane of a depthwise correlation share. Internal to ops/kernels. */
#ifndef TT_DEPTHWISE_PLANE_H
#define TT_DEPTHWISE_PLANE_H

#include "tt_depthwise_correlate.h"
#include "tt_window_span.h"

/* The pair of channels a plane is computed for: the correlation with its pointers at the first of them. */
typedef struct {
    const tt_correlation_t *all;
    const float *source;
    const float *taps;
    const float *seed;
    float *target;
    bool in_place; /* the sums start from the target */
} tt_plane_t;

TT_INLINE float *tt_plane_target(const tt_plane_t *plane, int32_t y, int32_t column) {
    const tt_axis_t *v = &plane->all->vertical;
    const tt_axis_t *h = &plane->all->horizontal;
    const int32_t position = (y * v->step + v->start) * plane->all->target_width + column * h->step + h->start;
    return plane->target + position * plane->all->channels;
}

/* Destination rows [from, to) of a correlation with three taps in a row and stride 1, by tiles. */
void tt_depthwise_rows_3(const tt_plane_t *plane, int32_t from, int32_t to);

/* Planes of windows of 3 x 3 and stride 1: with a bias and bounds; without; added to the target. */
void tt_depthwise_slide_forward(const tt_plane_t *plane);
void tt_depthwise_slide_gradient(const tt_plane_t *plane);
void tt_depthwise_slide_in_place(const tt_plane_t *plane);

#endif /* TT_DEPTHWISE_PLANE_H */
