/* SPDX-License-Identifier: Apache-2.0 */
/* For one tap, a tile of chosen channels by input channels collects its sums over all positions in registers. */
#include <string.h>

#include "tt_conv2d.h"
#include "tt_conv2d_columns.h"
#include "tt_unroll.h"

/* Input channels of a tile: with four chosen channels, 24 sums, 4 gradients and a pair of inputs fill 32 registers. */
#define TILE_INPUTS 6

typedef struct {
    const tt_window_t *w;
    const float *x;
    const float *g[TT_TILE_ROWS]; /* column of each channel of the tile */
    float *d[TT_TILE_ROWS];
    float scale;
    bool fresh; /* write, in place of adding */
} job_t;

/* One tap and the output positions at which it lies on the image. */
typedef struct {
    int32_t tap; /* (r * kw + s) * C */
    int32_t x;   /* element of the image under the first of them */
    int32_t g;   /* and of its output */
    int32_t rows;
    int32_t columns;
} tap_t;

/* d[i][tap + c + j] += scale * sum of x * g over the positions of the tap, for j below inputs */
TT_INLINE void tile(const job_t *job, const tap_t *tap, int32_t c, int rows, int inputs, bool neighbours, bool pairs) {
    const tt_window_t *w = job->w;
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
    int32_t line = tap->x + c;
    int32_t position = tap->g;
    for (int32_t m = tap->rows; m > 0; --m) {
        const float *x = job->x + line;
        const float *g[TT_TILE_ROWS];
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            g[i] = job->g[i] + position;
        }
        for (int32_t n = tap->columns; n > 0; --n) {
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
        line += w->sh * w->W * w->C;
        position += w->OW * w->O;
    }
    const float scale = job->scale;
    const bool fresh = job->fresh;
    TT_UNROLL
    for (int i = 0; i < rows; ++i) {
        float *d = job->d[i] + tap->tap + c;
        TT_UNROLL
        for (int j = 0; j < inputs; ++j) {
            d[j] = fresh ? scale * acc[i][j] : d[j] + scale * acc[i][j];
        }
    }
}

TT_INLINE void block(const job_t *job, int rows, int inputs, bool neighbours, bool pairs) {
    const tt_window_t *w = job->w;
    for (int32_t r = 0; r < w->kh; ++r) {
        const tt_span_t lines = tt_outputs_of_tap(r, w->sh, w->pt, w->H, w->OH);
        for (int32_t s = 0; s < w->kw; ++s) {
            const tt_span_t columns = tt_outputs_of_tap(s, w->sw, w->pl, w->W, w->OW);
            const tap_t tap = {
                .tap = (r * w->kw + s) * w->C,
                .x = ((lines.first * w->sh + r - w->pt) * w->W + columns.first * w->sw + s - w->pl) * w->C,
                .g = (lines.first * w->OW + columns.first) * w->O,
                .rows = lines.last - lines.first,
                .columns = columns.last - columns.first,
            };
            if (tap.rows <= 0 || tap.columns <= 0) {
                for (int i = 0; i < rows && job->fresh; ++i) {
                    memset(job->d[i] + tap.tap, 0, (size_t)w->C * sizeof(float));
                }
                continue;
            }
            int32_t c = 0;
            for (; c + inputs <= w->C; c += inputs) {
                tile(job, &tap, c, rows, inputs, neighbours, pairs);
            }
            for (; pairs && c < w->C; c += 2) {
                tile(job, &tap, c, rows, 2, neighbours, true);
            }
            for (; c < w->C; ++c) {
                tile(job, &tap, c, rows, 1, neighbours, false);
            }
        }
    }
}

static TT_NOINLINE void neighbours_of_pairs(const job_t *job) {
    block(job, TT_TILE_ROWS, TILE_INPUTS, true, true);
}

static TT_NOINLINE void scattered_of_pairs(const job_t *job) {
    block(job, TT_TILE_ROWS, TILE_INPUTS, false, true);
}

static TT_NOINLINE void scattered_of_singles(const job_t *job) {
    block(job, TT_TILE_ROWS, 4, false, false);
}

static TT_NOINLINE void one_channel(const job_t *job) {
    block(job, 1, 4, false, false);
}

/* One position (a fully connected layer): an outer product. */
TT_INLINE void outer_product(const job_t *job, int rows, bool fresh) {
    float factor[TT_TILE_ROWS];
    float *d[TT_TILE_ROWS];
    TT_UNROLL
    for (int i = 0; i < rows; ++i) {
        factor[i] = job->scale * *job->g[i];
        d[i] = job->d[i];
    }
    const float *x = job->x;
    for (int32_t n = job->w->C; n > 0; --n) {
        const float value = *x++;
        TT_UNROLL
        for (int i = 0; i < rows; ++i) {
            *d[i] = fresh ? factor[i] * value : TT_MAC(*d[i], factor[i], value);
            ++d[i];
        }
    }
}

static TT_NOINLINE void one_position(const job_t *job, int32_t count) {
    if (count == TT_TILE_ROWS) {
        job->fresh ? outer_product(job, TT_TILE_ROWS, true) : outer_product(job, TT_TILE_ROWS, false);
    } else {
        outer_product(job, 1, job->fresh);
    }
}

static void grad_bias(const tt_window_t *w, const float *g, float scale, float *d) {
    float sum = 0.0f;
    for (int32_t p = w->OH * w->OW; p > 0; --p) {
        sum += *g;
        g += w->O;
    }
    *d += scale * sum;
}

void tt_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                            float scale, uint32_t parts, float *d) {
    const tt_window_t w = tt_flattened(window);
    const int32_t trained = tt_trained_channels(rows);
    const int32_t weights = w.kh * w.kw * w.C;
    const bool fresh = (parts & TT_GRADIENT_ACCUMULATE) == 0u;
    const int32_t cleared = (parts & TT_GRADIENT_WEIGHTS) != 0u ? weights : 0;
    job_t job = {.w = &w, .x = x, .scale = scale, .fresh = fresh};
    int32_t count;
    for (int32_t k = 0; k < trained; k += count) {
        count = trained - k >= TT_TILE_ROWS ? TT_TILE_ROWS : 1;
        const int32_t first = tt_trained_channel(rows, k);
        const bool neighbours = tt_trained_channel(rows, k + count - 1) == first + count - 1;
        for (int32_t i = 0; i < count; ++i) {
            job.g[i] = g + tt_trained_channel(rows, k + i);
            job.d[i] = d + (size_t)(k + i) * rows->stride;
            if (fresh) {
                memset(job.d[i] + cleared, 0, (size_t)((int32_t)rows->stride - cleared) * sizeof(float));
            }
            if ((parts & TT_GRADIENT_BIAS) != 0u) {
                grad_bias(&w, job.g[i], scale, job.d[i] + weights);
            }
        }
        if ((parts & TT_GRADIENT_WEIGHTS) == 0u) {
            continue;
        }
        if (tt_is_pointwise(window) && w.OH * w.OW == 1) {
            one_position(&job, count);
        } else if (count == 1) {
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
