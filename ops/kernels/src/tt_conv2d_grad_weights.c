/* SPDX-License-Identifier: Apache-2.0 */
/* For one tap, a tile of chosen channels by input channels collects its sums over all positions in registers. */
#include <string.h>

#include "tt_conv2d.h"
#include "tt_conv2d_columns.h"
#include "tt_unroll.h"

/* Input channels of a tile: with four chosen channels, 24 sums, four gradients and a pair of inputs fill 32 registers. */
#define TILE_INPUTS 6

typedef struct {
    const tt_window_t *w;
    const float *x;
    const float *g[TT_TILE_ROWS]; /* column of each channel of the tile */
    float *d[TT_TILE_ROWS];
    float scale;
} job_t;

/* The sums of d[i][tap(r, s) * C + c + j] over all positions, for j below inputs. */
TT_INLINE void tile(const job_t *job, int32_t r, int32_t s, int32_t c, int rows, int inputs, bool neighbours,
                    bool pairs)
{
    const tt_window_t *w = job->w;
    const tt_span_t lines = tt_outputs_of_tap(r, w->sh, w->pt, w->H, w->OH);
    const tt_span_t columns = tt_outputs_of_tap(s, w->sw, w->pl, w->W, w->OW);
    float acc[TT_TILE_ROWS][TILE_INPUTS];
    TT_UNROLL
    for (int i = 0; i < rows; ++i) {
        TT_UNROLL
        for (int j = 0; j < inputs; ++j) {
            acc[i][j] = 0.0f;
        }
    }
    const int32_t x_step = w->sw * w->C;
    const int32_t g_step = w->O;
    for (int32_t oy = lines.first; oy < lines.last && columns.first < columns.last; ++oy) {
        const float *x = job->x + ((oy * w->sh + r - w->pt) * w->W + columns.first * w->sw + s - w->pl) * w->C + c;
        const float *g[TT_TILE_ROWS];
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            g[i] = job->g[i] + (oy * w->OW + columns.first) * w->O;
        }
        for (int32_t n = columns.last - columns.first; n > 0; --n) {
            float gradient[TT_TILE_ROWS];
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                gradient[i] = neighbours ? g[0][i] : g[i][0];
            }
            TT_UNROLL
            for (int j = 0; j < inputs; j += pairs ? 2 : 1) {
                if (pairs) {
                    const tt_pair_t value = TT_LOAD_PAIR(x + j);
                    TT_UNROLL
                    for (int i = 0; i < rows; ++i) {
                        acc[i][j] = TT_MAC(acc[i][j], value.f[0], gradient[i]);
                        acc[i][j + 1] = TT_MAC(acc[i][j + 1], value.f[1], gradient[i]);
                    }
                } else {
                    TT_UNROLL
                    for (int i = 0; i < rows; ++i) {
                        acc[i][j] = TT_MAC(acc[i][j], x[j], gradient[i]);
                    }
                }
            }
            x += x_step;
            TT_UNROLL
            for (int i = 0; i < rows; ++i) {
                g[i] += g_step;
            }
        }
    }
    const int32_t tap = (r * w->kw + s) * w->C + c;
    TT_UNROLL
    for (int i = 0; i < rows; ++i) {
        float *d = job->d[i] + tap;
        TT_UNROLL
        for (int j = 0; j < inputs; ++j) {
            d[j] += job->scale * acc[i][j];
        }
    }
}

TT_INLINE void block(const job_t *job, int rows, int inputs, bool neighbours, bool pairs)
{
    const tt_window_t *w = job->w;
    for (int32_t r = 0; r < w->kh; ++r) {
        for (int32_t s = 0; s < w->kw; ++s) {
            int32_t c = 0;
            for (; c + inputs <= w->C; c += inputs) {
                tile(job, r, s, c, rows, inputs, neighbours, pairs);
            }
            for (; pairs && c < w->C; c += 2) {
                tile(job, r, s, c, rows, 2, neighbours, true);
            }
            for (; c < w->C; ++c) {
                tile(job, r, s, c, rows, 1, neighbours, false);
            }
        }
    }
}

static TT_NOINLINE void neighbours_of_pairs(const job_t *job)
{
    block(job, TT_TILE_ROWS, TILE_INPUTS, true, true);
}

static TT_NOINLINE void scattered_of_pairs(const job_t *job)
{
    block(job, TT_TILE_ROWS, TILE_INPUTS, false, true);
}

static TT_NOINLINE void scattered_of_singles(const job_t *job)
{
    block(job, TT_TILE_ROWS, 4, false, false);
}

static TT_NOINLINE void one_channel(const job_t *job)
{
    block(job, 1, 4, false, false);
}

static void grad_bias(const tt_window_t *w, const float *g, float scale, float *d)
{
    float sum = 0.0f;
    for (int32_t p = w->OH * w->OW; p > 0; --p) {
        sum += *g;
        g += w->O;
    }
    *d += scale * sum;
}

void tt_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                            float scale, uint32_t parts, float *d)
{
    const tt_window_t w = tt_flattened(window);
    const int32_t trained = tt_trained_channels(rows);
    const int32_t weights = w.kh * w.kw * w.C;
    if ((parts & TT_GRADIENT_ACCUMULATE) == 0u) {
        memset(d, 0, tt_trained_elements(rows) * sizeof(float));
    }
    job_t job = {.w = &w, .x = x, .scale = scale};
    int32_t count;
    for (int32_t k = 0; k < trained; k += count) {
        count = trained - k >= TT_TILE_ROWS ? TT_TILE_ROWS : 1;
        const int32_t first = tt_trained_channel(rows, k);
        const bool neighbours = tt_trained_channel(rows, k + count - 1) == first + count - 1;
        for (int32_t i = 0; i < count; ++i) {
            job.g[i] = g + tt_trained_channel(rows, k + i);
            job.d[i] = d + (size_t)(k + i) * rows->stride;
            if ((parts & TT_GRADIENT_BIAS) != 0u) {
                grad_bias(&w, job.g[i], scale, job.d[i] + weights);
            }
        }
        if ((parts & TT_GRADIENT_WEIGHTS) == 0u) {
            continue;
        }
        if (count == 1) {
            one_channel(&job);
        } else if (w.C % 2 != 0) {
            scattered_of_singles(&job);
        } else if (neighbours) {
            neighbours_of_pairs(&job);
        } else {
            scattered_of_pairs(&job);
        }
    }
}
