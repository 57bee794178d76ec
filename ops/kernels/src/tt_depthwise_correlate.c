/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two channels lie side by side in memory and go through a tile together. A tile is a few destination columns, whose
 * sums stay in registers with one row of taps, while the sources pass by; what lies on padding is stepped over.
 */
#include "tt_depthwise_correlate.h"

#include <stddef.h>

#include "tt_depthwise_plane.h"
#include "tt_unroll.h"

#define MOST_COLUMNS 8
#define MOST_TAPS 7

static const tt_pair_t ZEROS;

/* What the tiles of one destination row share. All pitches are in floats. */
typedef struct {
    const float *source; /* first column of the first source row on the image */
    const float *taps;   /* first tap of the first tap row on the image */
    const float *seed;
    int32_t rows; /* source rows on the image */
    int32_t row_pitch;
    int32_t pitch; /* of columns */
    int32_t tap_row_pitch;
    int32_t tap_pitch;
    int32_t target_pitch;
    int32_t width; /* columns of the source */
    bool in_place; /* the sums start from the target */
} line_t;

/* As many destination columns as the tile has, or the first valid of them if it is partial; left: first source. */
TT_INLINE void tile(const tt_correlation_t *all, const line_t *line, float *target, int32_t left, int taps, int step,
                    int columns, int32_t valid, bool partial) {
    const int32_t pitch = line->pitch;
    const int32_t target_pitch = line->target_pitch;
    float acc0[MOST_COLUMNS];
    float acc1[MOST_COLUMNS];
    if (line->in_place) {
        const float *seed = target;
        TT_UNROLL
        for (int t = 0; t < columns; ++t) {
            const tt_pair_t start = TT_LOAD_PAIR(seed);
            acc0[t] = start.f[0];
            acc1[t] = start.f[1];
            seed += !partial || t + 1 < valid ? target_pitch : 0;
        }
    } else {
        const tt_pair_t start = TT_LOAD_PAIR(line->seed);
        TT_UNROLL
        for (int t = 0; t < columns; ++t) {
            acc0[t] = start.f[0];
            acc1[t] = start.f[1];
        }
    }
    const tt_span_t sources = tt_taps_on_image(left, (valid - 1) * step + taps, line->width);
    const int count = (columns - 1) * step + taps;
    const float *source = line->source + (left + sources.first) * pitch;
    const float *weights = line->taps;
    const int32_t row_pitch = line->row_pitch;
    const int32_t tap_pitch = line->tap_pitch;
    const int32_t tap_row_pitch = line->tap_row_pitch;
    for (int32_t m = line->rows; m > 0; --m) {
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
                x += pitch;
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
        source += row_pitch;
        weights += tap_row_pitch;
    }
    if (all->bounded) {
        const float low = all->low;
        const float high = all->high;
        TT_UNROLL
        for (int t = 0; t < columns; ++t) {
            acc0[t] = tt_min(tt_max(acc0[t], low), high);
            acc1[t] = tt_min(tt_max(acc1[t], low), high);
        }
    }
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        if (!partial || t < valid) {
            TT_STORE_PAIR(target, acc0[t], acc1[t]);
            target += target_pitch;
        }
    }
}

/*
 * Rows [from, to) of a plane of a known number of taps in a row: full tiles of so many columns, then partial ones for
 * what is left.
 */
TT_INLINE void rows_of_tiles(const tt_plane_t *plane, int32_t from, int32_t to, int taps, int step, int full,
                             int rest) {
    const tt_correlation_t *all = plane->all;
    const tt_axis_t v = all->vertical;
    const int32_t count = all->horizontal.count;
    const int32_t first = all->horizontal.source_start;
    line_t line = {
        .seed = plane->seed,
        .row_pitch = all->source_width * all->channels,
        .pitch = all->channels,
        .tap_row_pitch = v.tap_step * all->tap_width * all->channels,
        .tap_pitch = all->horizontal.tap_step * all->channels,
        .target_pitch = all->horizontal.step * all->channels,
        .width = all->horizontal.size,
        .in_place = plane->in_place,
    };
    for (int32_t y = from; y < to; ++y) {
        const int32_t top = y * v.source_step + v.source_start;
        const tt_span_t rows = tt_taps_on_image(top, v.taps, v.size);
        line.rows = rows.last - rows.first;
        line.source = plane->source + (top + rows.first) * line.row_pitch;
        line.taps = plane->taps + (v.tap * all->tap_width + all->horizontal.tap) * all->channels +
                    rows.first * line.tap_row_pitch;
        float *target = tt_plane_target(plane, y, 0);
        int32_t column = 0;
        for (; full > 0 && column + full <= count; column += full) {
            tile(all, &line, target, column * step + first, taps, step, full, full, false);
            target += full * line.target_pitch;
        }
        for (; column < count; column += rest) {
            const int32_t valid = tt_min_i32(rest, count - column);
            tile(all, &line, target, column * step + first, taps, step, rest, valid, true);
            target += rest * line.target_pitch;
        }
    }
}

#define TT_PLANE(taps, step, full, rest)                                                                               \
    static TT_NOINLINE void plane_##taps##_##step(const tt_plane_t *plane) {                                           \
        rows_of_tiles(plane, 0, plane->all->vertical.count, taps, step, full, rest);                                   \
    }

TT_PLANE(1, 1, 0, 8)
TT_PLANE(2, 1, 0, 8)
TT_PLANE(4, 1, 0, 6)
TT_PLANE(5, 1, 8, 4)
TT_PLANE(7, 1, 6, 4)
TT_PLANE(3, 2, 0, 4)
TT_PLANE(5, 2, 0, 4)
TT_PLANE(7, 2, 0, 4)

void tt_depthwise_rows_3(const tt_plane_t *plane, int32_t from, int32_t to) {
    rows_of_tiles(plane, from, to, 3, 1, 8, 4);
}

static void plane_3_1(const tt_plane_t *plane) {
    tt_depthwise_rows_3(plane, 0, plane->all->vertical.count);
}

typedef void (*plane_function_t)(const tt_plane_t *plane);

/* NULL where there is no plane of tiles. */
static plane_function_t plane_for(const tt_correlation_t *all) {
    const tt_axis_t *horizontal = &all->horizontal;
    /* Wider padding than a window has taps would reach past the sources that a tile looks at. */
    const int32_t last = (horizontal->count - 1) * horizontal->source_step + horizontal->source_start;
    if (-horizontal->source_start >= horizontal->taps || last >= horizontal->size) {
        return NULL;
    }
    const bool unit = horizontal->source_step == 1 && all->vertical.source_step == 1;
    const bool wide = horizontal->size - tt_max_i32(0, horizontal->source_start) >= 2;
    if (unit && wide && horizontal->taps == 3 && all->vertical.taps == 3) {
        if (all->seed == NULL) {
            return tt_depthwise_slide_gradient;
        }
        return all->seed == all->target ? tt_depthwise_slide_in_place : tt_depthwise_slide_forward;
    }
    switch (horizontal->taps * 4 + tt_min_i32(horizontal->source_step, 3)) {
    case 1 * 4 + 1:
        return plane_1_1;
    case 2 * 4 + 1:
        return plane_2_1;
    case 3 * 4 + 1:
        return plane_3_1;
    case 4 * 4 + 1:
        return plane_4_1;
    case 5 * 4 + 1:
        return plane_5_1;
    case 7 * 4 + 1:
        return plane_7_1;
    case 3 * 4 + 2:
        return plane_3_2;
    case 5 * 4 + 2:
        return plane_5_2;
    case 7 * 4 + 2:
        return plane_7_2;
    default:
        return NULL;
    }
}

/* Any window, one channel. */
static void plane_of_points(const tt_plane_t *plane) {
    const tt_correlation_t *all = plane->all;
    for (int32_t y = 0; y < all->vertical.count; ++y) {
        const int32_t line = y * all->vertical.source_step + all->vertical.source_start;
        const tt_span_t rows = tt_taps_on_image(line, all->vertical.taps, all->vertical.size);
        for (int32_t q = 0; q < all->horizontal.count; ++q) {
            const int32_t left = q * all->horizontal.source_step + all->horizontal.source_start;
            const tt_span_t columns = tt_taps_on_image(left, all->horizontal.taps, all->horizontal.size);
            float *target = tt_plane_target(plane, y, q);
            float sum = plane->in_place ? *target : *plane->seed;
            for (int32_t r = rows.first; r < rows.last; ++r) {
                const int32_t tap_row = (all->vertical.tap + r * all->vertical.tap_step) * all->tap_width;
                for (int32_t s = columns.first; s < columns.last; ++s) {
                    const int32_t tap = tap_row + all->horizontal.tap + s * all->horizontal.tap_step;
                    const float value = plane->source[((line + r) * all->source_width + left + s) * all->channels];
                    sum = TT_MAC(sum, value, plane->taps[tap * all->channels]);
                }
            }
            *target = all->bounded ? tt_min(tt_max(sum, all->low), all->high) : sum;
        }
    }
}

void tt_depthwise_correlate(const tt_correlation_t *correlation) {
    plane_function_t tiles = correlation->channels % 2 == 0 ? plane_for(correlation) : NULL;
    const int32_t together = tiles != NULL ? 2 : 1;
    const bool in_place = correlation->seed == correlation->target;
    for (int32_t c = 0; c < correlation->channels; c += together) {
        tt_plane_t plane = {.all = correlation};
        plane.source = correlation->source + c;
        plane.taps = correlation->taps + c;
        plane.seed = correlation->seed != NULL ? correlation->seed + c : ZEROS.f;
        plane.target = correlation->target + c;
        plane.in_place = in_place;
        if (tiles != NULL) {
            tiles(&plane);
        } else {
            plane_of_points(&plane);
        }
    }
}
