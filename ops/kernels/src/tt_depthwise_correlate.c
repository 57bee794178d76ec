/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two channels lie side by side in memory and go through a tile together. A tile is a few destination columns, whose
 * sums stay in registers with one row of taps, while the sources pass by; what lies on padding is stepped over.
 */
#include "tt_depthwise_correlate.h"

#include <float.h>
#include <stddef.h>

#include "tt_unroll.h"
#include "tt_window_span.h"

#define MOST_COLUMNS 8
#define MOST_TAPS 7

/* The pair of channels a plane is computed for: the correlation with its pointers at the first of them. */
typedef struct {
    const tt_correlation_t *all;
    const float *source;
    const float *taps;
    const float *seed;
    float *target;
    int32_t seed_pitch;
} plane_t;

static const tt_pair_t ZEROS;

TT_INLINE float *target_of(const plane_t *plane, int32_t y, int32_t column)
{
    const tt_axis_t *v = &plane->all->vertical;
    const tt_axis_t *h = &plane->all->horizontal;
    const int32_t position = (y * v->step + v->start) * plane->all->target_width + column * h->step + h->start;
    return plane->target + position * plane->all->channels;
}

/* Destination columns [column, column + valid) of row y, valid being columns unless the tile is partial. */
TT_INLINE void tile(const plane_t *plane, int32_t y, int32_t column, int taps, int step, int columns, int32_t valid,
                    bool partial)
{
    const tt_correlation_t *all = plane->all;
    const int32_t channels = all->channels;
    const int32_t target_pitch = all->horizontal.step * channels;
    float *target = target_of(plane, y, column);
    float acc0[MOST_COLUMNS];
    float acc1[MOST_COLUMNS];
    const float *seed = plane->seed_pitch != 0 ? target : plane->seed;
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        const tt_pair_t start = TT_LOAD_PAIR(seed);
        acc0[t] = start.f[0];
        acc1[t] = start.f[1];
        if (!partial || t + 1 < valid) {
            seed += plane->seed_pitch;
        }
    }
    const int32_t line = y * all->vertical.source_step + all->vertical.source_start;
    const int32_t left = column * step + all->horizontal.source_start;
    const tt_span_t rows = tt_taps_on_image(line, all->vertical.taps, all->vertical.size);
    const tt_span_t sources = tt_taps_on_image(left, (valid - 1) * step + taps, all->horizontal.size);
    const int count = (columns - 1) * step + taps;
    const float *source = plane->source + ((line + rows.first) * all->source_width + left + sources.first) * channels;
    const float *weights = plane->taps + ((all->vertical.tap + rows.first * all->vertical.tap_step) * all->tap_width +
                                          all->horizontal.tap) * channels;
    const int32_t tap_pitch = all->horizontal.tap_step * channels;
    for (int32_t m = rows.last - rows.first; m > 0; --m) {
        float w0[MOST_TAPS];
        float w1[MOST_TAPS];
        const float *tap = weights;
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            const tt_pair_t w = TT_LOAD_PAIR(tap);
            w0[k] = w.f[0];
            w1[k] = w.f[1];
            tap += tap_pitch;
        }
        const float *x = source;
        TT_UNROLL
        for (int j = 0; j < count; ++j) {
            /* Only sources near the borders can lie on padding. */
            const bool maybe_left = j < taps - 1;
            const bool maybe_right = partial || j > (columns - 1) * step;
            if ((!maybe_left || j >= sources.first) && (!maybe_right || j < sources.last)) {
                const tt_pair_t value = TT_LOAD_PAIR(x);
                x += channels;
                TT_UNROLL
                for (int k = 0; k < taps; ++k) {
                    if (j >= k && (j - k) % step == 0 && (j - k) / step < columns) {
                        const int t = (j - k) / step;
                        acc0[t] = TT_MAC(acc0[t], value.f[0], w0[k]);
                        acc1[t] = TT_MAC(acc1[t], value.f[1], w1[k]);
                    }
                }
            }
        }
        source += all->source_width * channels;
        weights += all->vertical.tap_step * all->tap_width * channels;
    }
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        if (!partial || t < valid) {
            TT_STORE_PAIR(target, tt_min(tt_max(acc0[t], all->low), all->high),
                          tt_min(tt_max(acc1[t], all->low), all->high));
            target += target_pitch;
        }
    }
}

/* A plane of a known number of taps in a row: full tiles of so many columns, then partial ones for what is left. */
TT_INLINE void plane_of_tiles(const plane_t *plane, int taps, int step, int full, int rest)
{
    const int32_t count = plane->all->horizontal.count;
    for (int32_t y = 0; y < plane->all->vertical.count; ++y) {
        int32_t column = 0;
        for (; full > 0 && column + full <= count; column += full) {
            tile(plane, y, column, taps, step, full, full, false);
        }
        for (; column < count; column += rest) {
            tile(plane, y, column, taps, step, rest, tt_min_i32(rest, count - column), true);
        }
    }
}

#define TT_PLANE(taps, step, full, rest)                               \
    static TT_NOINLINE void plane_##taps##_##step(const plane_t *plane) \
    {                                                                  \
        plane_of_tiles(plane, taps, step, full, rest);                 \
    }

TT_PLANE(1, 1, 0, 8)
TT_PLANE(2, 1, 0, 8)
TT_PLANE(3, 1, 8, 4)
TT_PLANE(4, 1, 0, 6)
TT_PLANE(5, 1, 8, 4)
TT_PLANE(7, 1, 6, 4)
TT_PLANE(3, 2, 0, 4)
TT_PLANE(5, 2, 0, 4)
TT_PLANE(7, 2, 0, 4)

typedef void (*plane_function_t)(const plane_t *plane);

/* NULL where there is no plane of tiles. */
static plane_function_t plane_for(const tt_axis_t *horizontal)
{
    /* Wider padding than a window has taps would reach past the sources that a tile looks at. */
    const int32_t last = (horizontal->count - 1) * horizontal->source_step + horizontal->source_start;
    if (-horizontal->source_start >= horizontal->taps || last >= horizontal->size) {
        return NULL;
    }
    switch (horizontal->taps * 4 + tt_min_i32(horizontal->source_step, 3)) {
    case 1 * 4 + 1: return plane_1_1;
    case 2 * 4 + 1: return plane_2_1;
    case 3 * 4 + 1: return plane_3_1;
    case 4 * 4 + 1: return plane_4_1;
    case 5 * 4 + 1: return plane_5_1;
    case 7 * 4 + 1: return plane_7_1;
    case 3 * 4 + 2: return plane_3_2;
    case 5 * 4 + 2: return plane_5_2;
    case 7 * 4 + 2: return plane_7_2;
    default: return NULL;
    }
}

/* Any window, one channel. */
static void plane_of_points(const plane_t *plane)
{
    const tt_correlation_t *all = plane->all;
    for (int32_t y = 0; y < all->vertical.count; ++y) {
        const int32_t line = y * all->vertical.source_step + all->vertical.source_start;
        const tt_span_t rows = tt_taps_on_image(line, all->vertical.taps, all->vertical.size);
        for (int32_t q = 0; q < all->horizontal.count; ++q) {
            const int32_t left = q * all->horizontal.source_step + all->horizontal.source_start;
            const tt_span_t columns = tt_taps_on_image(left, all->horizontal.taps, all->horizontal.size);
            float *target = target_of(plane, y, q);
            float sum = plane->seed_pitch != 0 ? *target : *plane->seed;
            for (int32_t r = rows.first; r < rows.last; ++r) {
                const int32_t tap_row = (all->vertical.tap + r * all->vertical.tap_step) * all->tap_width;
                for (int32_t s = columns.first; s < columns.last; ++s) {
                    const int32_t tap = tap_row + all->horizontal.tap + s * all->horizontal.tap_step;
                    const float value = plane->source[((line + r) * all->source_width + left + s) * all->channels];
                    sum = TT_MAC(sum, value, plane->taps[tap * all->channels]);
                }
            }
            *target = tt_min(tt_max(sum, all->low), all->high);
        }
    }
}

void tt_depthwise_correlate(const tt_correlation_t *correlation)
{
    plane_function_t tiles = correlation->channels % 2 == 0 ? plane_for(&correlation->horizontal) : NULL;
    const int32_t together = tiles != NULL ? 2 : 1;
    const bool in_place = correlation->seed == correlation->target;
    for (int32_t c = 0; c < correlation->channels; c += together) {
        plane_t plane = {.all = correlation};
        plane.source = correlation->source + c;
        plane.taps = correlation->taps + c;
        plane.seed = correlation->seed != NULL ? correlation->seed + c : ZEROS.f;
        plane.target = correlation->target + c;
        plane.seed_pitch = in_place ? correlation->horizontal.step * correlation->channels : 0;
        if (tiles != NULL) {
            tiles(&plane);
        } else {
            plane_of_points(&plane);
        }
    }
}
