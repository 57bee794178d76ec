/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gradient of a position goes, weighted, to the whole window under it: a row of a window is kw * C neighbouring
 * floats of dx. A tile adds four output channels at once, of several positions where their windows do not overlap.
 */
#include <string.h>

#include "tt_conv2d.h"
#include "tt_conv2d_columns.h"
#include "tt_unroll.h"

typedef struct {
    const tt_window_t *w;
    const float *g; /* at the first channel of the tile */
    float *dx;
    const float *row[TT_TILE_ROWS];
} job_t;

/* target[t][j ..] += sum over i of g[t][i] * row[i][j ..], for a pair of neighbours or a single float */
TT_INLINE void step(float *const *target, const float *const *row, const float (*g)[TT_TILE_ROWS], int32_t j,
                    int pixels, int rows, bool pair)
{
    float w0[TT_TILE_ROWS];
    float w1[TT_TILE_ROWS];
    TT_UNROLL
    for (int i = 0; i < rows; ++i) {
        if (pair) {
            const tt_pair_t w = TT_LOAD_PAIR(row[i] + j);
            w0[i] = w.f[0];
            w1[i] = w.f[1];
        } else {
            w0[i] = row[i][j];
        }
    }
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        if (pair) {
            const tt_pair_t so_far = TT_LOAD_PAIR(target[t] + j);
            float sum0 = so_far.f[0];
            float sum1 = so_far.f[1];
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                sum0 = TT_MAC(sum0, g[t][i], w0[i]);
                sum1 = TT_MAC(sum1, g[t][i], w1[i]);
            }
            TT_STORE_PAIR(target[t] + j, sum0, sum1);
        } else {
            float sum = target[t][j];
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                sum = TT_MAC(sum, g[t][i], w0[i]);
            }
            target[t][j] = sum;
        }
    }
}

/* dx[t * pitch ..] += sum over i of g[t][i] * weights[i][..], over a run */
TT_INLINE void run(float *dx, int32_t pitch, const float (*g)[TT_TILE_ROWS], const float *const *weights,
                   int32_t length, int pixels, int rows, bool pairs)
{
    float *target[TT_TILE_PIXELS];
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        target[t] = dx + t * pitch;
    }
    int32_t j = 0;
    if (pairs) {
        for (; j + 4 <= length; j += 4) {
            step(target, weights, g, j, pixels, rows, true);
            step(target, weights, g, j + 2, pixels, rows, true);
        }
        if (j < length) {
            step(target, weights, g, j, pixels, rows, true);
        }
    } else {
        for (; j < length; ++j) {
            step(target, weights, g, j, pixels, rows, false);
        }
    }
}

TT_INLINE void tile(const job_t *job, int32_t oy, int32_t column, tt_span_t taps, int pixels, int rows, bool pairs)
{
    const tt_window_t *w = job->w;
    const tt_span_t lines = tt_taps_on_image(oy * w->sh - w->pt, w->kh, w->H);
    if (taps.first >= taps.last) {
        return;
    }
    const float *source = job->g + (oy * w->OW + column) * w->O;
    float g[TT_TILE_PIXELS][TT_TILE_ROWS];
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            g[t][i] = source[i];
        }
        source += w->O;
    }
    for (int32_t r = lines.first; r < lines.last; ++r) {
        const int32_t line = oy * w->sh + r - w->pt;
        float *dx = job->dx + (line * w->W + column * w->sw - w->pl + taps.first) * w->C;
        const float *row[TT_TILE_ROWS];
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            row[i] = job->row[i] + (r * w->kw + taps.first) * w->C;
        }
        run(dx, w->sw * w->C, (const float (*)[TT_TILE_ROWS])g, row, (taps.last - taps.first) * w->C, pixels, rows,
            pairs);
    }
}

TT_INLINE void block(const job_t *job, int rows, bool pairs)
{
    const tt_window_t *w = job->w;
    const tt_span_t whole = {0, w->kw};
    const tt_span_t interior = tt_interior_columns(w);
    for (int32_t oy = 0; oy < w->OH; ++oy) {
        int32_t column = interior.first;
        if (w->sw >= w->kw) {
            for (; column + TT_TILE_PIXELS <= interior.last; column += TT_TILE_PIXELS) {
                tile(job, oy, column, whole, TT_TILE_PIXELS, rows, pairs);
            }
        }
        const int32_t tiled = column;
        for (column = 0; column < w->OW; ++column) {
            column = column == interior.first ? tiled : column;
            if (column < w->OW) {
                tile(job, oy, column, tt_taps_on_image(column * w->sw - w->pl, w->kw, w->W), 1, rows, pairs);
            }
        }
    }
}

static TT_NOINLINE void block_of_pairs(const job_t *job)
{
    block(job, TT_TILE_ROWS, true);
}

static TT_NOINLINE void block_of_singles(const job_t *job)
{
    block(job, TT_TILE_ROWS, false);
}

static TT_NOINLINE void one_channel(const job_t *job)
{
    block(job, 1, false);
}

void tt_conv2d_grad_input(const tt_window_t *window, const float *g, const tt_rows_t *rows, bool accumulate, float *dx)
{
    const tt_window_t w = tt_flattened(window);
    if (!accumulate) {
        memset(dx, 0, (size_t)(w.H * w.W * w.C) * sizeof(float));
    }
    job_t job = {.w = &w, .dx = dx};
    int32_t count;
    for (int32_t channel = 0; channel < w.O; channel += count) {
        count = w.O - channel >= TT_TILE_ROWS ? TT_TILE_ROWS : 1;
        for (int32_t i = 0; i < count; ++i) {
            job.row[i] = tt_row(rows, channel + i);
        }
        job.g = g + channel;
        if (count == 1) {
            one_channel(&job);
        } else if (w.C % 2 == 0) {
            block_of_pairs(&job);
        } else {
            block_of_singles(&job);
        }
    }
}
