/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row of a window is kw * C neighbouring floats, of the image as of a row of weights: every window, pointwise or not,
 * is a few runs of multiply-accumulates. A tile of positions and channels shares the loads of a run.
 */
#include "tt_conv2d.h"

#include "tt_conv2d_columns.h"
#include "tt_unroll.h"

typedef struct {
    const tt_window_t *w;
    const float *x;
    float *y; /* at the first channel of the tile */
    const float *row[TT_TILE_ROWS];
    float bias[TT_TILE_ROWS];
    float low;
    float high;
} job_t;

/* acc[t][i] += source[t][j ..] * row[i][j ..], for a pair of neighbours or a single float */
TT_INLINE void step(float (*acc)[TT_TILE_ROWS], const float *const *source, const float *const *row, int32_t j,
                    int pixels, int rows, bool pair) {
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
            const tt_pair_t value = TT_LOAD_PAIR(source[t] + j);
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                acc[t][i] = TT_MAC(acc[t][i], value.f[0], w0[i]);
                acc[t][i] = TT_MAC(acc[t][i], value.f[1], w1[i]);
            }
        } else {
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                acc[t][i] = TT_MAC(acc[t][i], source[t][j], w0[i]);
            }
        }
    }
}

/* acc[t][i] += sum over a run of x[t * pitch ..] * weights[i][..] */
TT_INLINE void run(float (*acc)[TT_TILE_ROWS], const float *x, int32_t pitch, const float *const *weights,
                   int32_t length, int pixels, int rows, bool pairs) {
    const float *source[TT_TILE_PIXELS];
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        source[t] = x + t * pitch;
    }
    int32_t j = 0;
    if (pairs) {
        for (; j + 4 <= length; j += 4) {
            step(acc, source, weights, j, pixels, rows, true);
            step(acc, source, weights, j + 2, pixels, rows, true);
        }
        if (j < length) {
            step(acc, source, weights, j, pixels, rows, true);
        }
    } else {
        for (; j < length; ++j) {
            step(acc, source, weights, j, pixels, rows, false);
        }
    }
}

/* Output columns [column, column + pixels) of row oy; taps is the part of a window row that lies on the image. */
TT_INLINE void tile(const job_t *job, int32_t oy, int32_t column, tt_span_t taps, int pixels, int rows, bool pairs) {
    const tt_window_t *w = job->w;
    const tt_span_t lines = tt_taps_on_image(oy * w->sh - w->pt, w->kh, w->H);
    float acc[TT_TILE_PIXELS][TT_TILE_ROWS];
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            acc[t][i] = job->bias[i];
        }
    }
    if (taps.first < taps.last) {
        for (int32_t r = lines.first; r < lines.last; ++r) {
            const int32_t line = oy * w->sh + r - w->pt;
            const float *x = job->x + (line * w->W + column * w->sw - w->pl + taps.first) * w->C;
            const float *row[TT_TILE_ROWS];
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                row[i] = job->row[i] + (r * w->kw + taps.first) * w->C;
            }
            run(acc, x, w->sw * w->C, row, (taps.last - taps.first) * w->C, pixels, rows, pairs);
        }
    }
    float *y = job->y + (oy * w->OW + column) * w->O;
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            y[i] = tt_min(tt_max(acc[t][i], job->low), job->high);
        }
        y += w->O;
    }
}

TT_INLINE void block(const job_t *job, int rows, bool pairs) {
    const tt_window_t *w = job->w;
    const tt_span_t whole = {0, w->kw};
    const tt_span_t interior = tt_interior_columns(w);
    for (int32_t oy = 0; oy < w->OH; ++oy) {
        int32_t column = interior.first;
        for (; column + TT_TILE_PIXELS <= interior.last; column += TT_TILE_PIXELS) {
            tile(job, oy, column, whole, TT_TILE_PIXELS, rows, pairs);
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

static TT_NOINLINE void block_of_pairs(const job_t *job) {
    block(job, TT_TILE_ROWS, true);
}

static TT_NOINLINE void block_of_singles(const job_t *job) {
    block(job, TT_TILE_ROWS, false);
}

static TT_NOINLINE void one_channel(const job_t *job) {
    block(job, 1, false);
}

void tt_conv2d(const tt_window_t *window, const float *x, const tt_rows_t *rows, const float *bias, float low,
               float high, float *y) {
    const tt_window_t w = tt_flattened(window);
    const int32_t weights = w.kh * w.kw * w.C;
    job_t job = {.w = &w, .x = x, .low = low, .high = high};
    int32_t count;
    for (int32_t channel = 0; channel < w.O; channel += count) {
        count = w.O - channel >= TT_TILE_ROWS ? TT_TILE_ROWS : 1;
        for (int32_t i = 0; i < count; ++i) {
            job.row[i] = tt_row(rows, channel + i);
            job.bias[i] = bias != NULL ? bias[channel + i] : job.row[i][weights];
        }
        job.y = y + channel;
        if (count == 1) {
            one_channel(&job);
        } else if (w.C % 2 == 0) {
            block_of_pairs(&job);
        } else {
            block_of_singles(&job);
        }
    }
}
