/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_depthwise_plane.h"
#include "tt_unroll.h"

/* One column of sources under some rows of three taps; the sum that tap k adds to is at acc[(newest - k) mod 3]. */
TT_INLINE void column_of_sources(float *acc0, float *acc1, const float (*w0)[3], const float (*w1)[3], const float **x,
                                 int32_t pitch, int newest, int rows) {
    TT_UNROLL
    for (int r = 0; r < rows; ++r) {
        const tt_pair_t value = TT_LOAD_PAIR(x[r]);
        TT_STEP(x[r], pitch);
        TT_UNROLL
        for (int k = 0; k < 3; ++k) {
            const int t = (newest - k + 3) % 3;
            acc0[t] = TT_MAC(acc0[t], value.f[0], w0[r][k]);
            acc1[t] = TT_MAC(acc1[t], value.f[1], w1[r][k]);
        }
    }
}

/* Two stores: as a pair, sums would first be moved side by side. */
TT_INLINE void finish(float *target, float sum0, float sum1, float low, float high, bool bounded, bool in_place) {
    if (in_place) {
        sum0 += target[0];
        sum1 += target[1];
    }
    target[0] = bounded ? tt_min(tt_max(sum0, low), high) : sum0;
    target[1] = bounded ? tt_min(tt_max(sum1, low), high) : sum1;
}

/*
 * Windows of 3 x 3 and stride 1: all taps of the two channels and the sums of three columns stay in registers, while
 * the sources pass by. Of the window rows, so many from r0 on lie on the image at the destination rows [from, to).
 */
TT_INLINE void slide_rows(const tt_plane_t *plane, int32_t from, int32_t to, int32_t r0, int rows, bool bounded,
                          bool in_place) {
    const tt_correlation_t all = *plane->all;
    const tt_axis_t v = all.vertical;
    const tt_axis_t h = all.horizontal;
    float w0[3][3];
    float w1[3][3];
    const int32_t tap_pitch = h.tap_step * all.channels;
    const float *tap = plane->taps + ((v.tap + r0 * v.tap_step) * all.tap_width + h.tap) * all.channels;
    TT_UNROLL
    for (int r = 0; r < rows; ++r) {
        TT_UNROLL
        for (int k = 0; k < 3; ++k) {
            const tt_pair_t w = TT_LOAD_PAIR(tap);
            w0[r][k] = w.f[0];
            w1[r][k] = w.f[1];
            TT_STEP(tap, tap_pitch);
        }
        TT_STEP(tap, v.tap_step * all.tap_width * all.channels - 3 * tap_pitch);
    }
    const float seed0 = bounded ? plane->seed[0] : 0.0f;
    const float seed1 = bounded ? plane->seed[1] : 0.0f;
    const float low = all.low;
    const float high = all.high;
    const int32_t first = tt_max_i32(0, h.source_start);
    const int32_t sources = tt_min_i32(h.size, h.source_start + h.count + 2) - first;
    /* With the first sources, so many, no destination column ends. */
    const int32_t early = 2 + tt_min_i32(0, h.source_start);
    const int32_t target_pitch = h.step * all.channels;
    const int32_t pitch = all.channels;
    const int32_t row_pitch = all.source_width * pitch;
    const float *line = plane->source + (from + v.source_start + r0) * row_pitch + first * pitch;
    float *target_line = tt_plane_target(plane, from, 0);
    for (int32_t y = from; y < to; ++y) {
        const float *x[3] = {line, line + row_pitch, line + (rows - 1) * row_pitch};
        float *target = target_line;
        TT_STEP(line, row_pitch);
        TT_STEP(target_line, v.step * all.target_width * pitch);
        float acc0[3] = {seed0, seed0, seed0};
        float acc1[3] = {seed1, seed1, seed1};
        int32_t left = h.count;
        if (early == 2) {
            TT_UNROLL
            for (int r = 0; r < rows; ++r) {
                const tt_pair_t value = TT_LOAD_PAIR(x[r]);
                TT_STEP(x[r], pitch);
                acc0[1] = TT_MAC(acc0[1], value.f[0], w0[r][0]);
                acc1[1] = TT_MAC(acc1[1], value.f[1], w1[r][0]);
            }
        }
        if (early > 0) {
            TT_UNROLL
            for (int r = 0; r < rows; ++r) {
                const tt_pair_t value = TT_LOAD_PAIR(x[r]);
                TT_STEP(x[r], pitch);
                acc0[1] = TT_MAC(acc0[1], value.f[0], w0[r][1]);
                acc1[1] = TT_MAC(acc1[1], value.f[1], w1[r][1]);
                acc0[2] = TT_MAC(acc0[2], value.f[0], w0[r][0]);
                acc1[2] = TT_MAC(acc1[2], value.f[1], w1[r][0]);
            }
        }
        int32_t n = sources - early;
        left -= n;
        for (; n >= 3; n -= 3) {
            TT_UNROLL
            for (int newest = 0; newest < 3; ++newest) {
                acc0[newest] = seed0;
                acc1[newest] = seed1;
                column_of_sources(acc0, acc1, (const float(*)[3])w0, (const float(*)[3])w1, x, pitch, newest, rows);
                finish(target, acc0[(newest + 1) % 3], acc1[(newest + 1) % 3], low, high, bounded, in_place);
                TT_STEP(target, target_pitch);
            }
        }
        /* What is left of the sources, and the columns that end on padding. */
        for (n += left; n > 0; --n) {
            acc0[0] = acc0[1];
            acc1[0] = acc1[1];
            acc0[1] = acc0[2];
            acc1[1] = acc1[2];
            acc0[2] = seed0;
            acc1[2] = seed1;
            if (n > left) {
                column_of_sources(acc0, acc1, (const float(*)[3])w0, (const float(*)[3])w1, x, pitch, 2, rows);
            }
            finish(target, acc0[0], acc1[0], low, high, bounded, in_place);
            TT_STEP(target, target_pitch);
        }
    }
}

typedef void (*slide_function_t)(const tt_plane_t *plane, int32_t from, int32_t to, int32_t r0);

/* Where three or two source rows lie on the image the window slides; elsewhere it takes tiles. */
static void slide_plane(const tt_plane_t *plane, slide_function_t three, slide_function_t two) {
    const tt_axis_t *v = &plane->all->vertical;
    int32_t to;
    for (int32_t from = 0; from < v->count; from = to) {
        const tt_span_t rows = tt_taps_on_image(from + v->source_start, 3, v->size);
        /* Between the borders all rows are alike. */
        const int32_t last = v->size - 2 - v->source_start;
        to = rows.first == 0 && rows.last == 3 ? tt_min_i32(v->count, last) : from + 1;
        if (rows.last - rows.first == 3) {
            three(plane, from, to, 0);
        } else if (rows.last - rows.first == 2) {
            two(plane, from, to, rows.first);
        } else {
            tt_depthwise_rows_3(plane, from, to);
        }
    }
}

#define TT_SLIDE(name, bounded, in_place)                                                                              \
    static TT_NOINLINE void name##_three(const tt_plane_t *plane, int32_t from, int32_t to, int32_t r0) {              \
        slide_rows(plane, from, to, r0, 3, bounded, in_place);                                                         \
    }                                                                                                                  \
    static TT_NOINLINE void name##_two(const tt_plane_t *plane, int32_t from, int32_t to, int32_t r0) {                \
        slide_rows(plane, from, to, r0, 2, bounded, in_place);                                                         \
    }                                                                                                                  \
    void name(const tt_plane_t *plane) {                                                                               \
        slide_plane(plane, name##_three, name##_two);                                                                  \
    }

TT_SLIDE(tt_depthwise_slide_forward, true, false)
TT_SLIDE(tt_depthwise_slide_gradient, false, false)
TT_SLIDE(tt_depthwise_slide_in_place, false, true)
