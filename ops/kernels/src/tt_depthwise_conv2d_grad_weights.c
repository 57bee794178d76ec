/* SPDX-License-Identifier: Apache-2.0 */
/* Two chosen channels that are neighbours in memory go together; the sums of a row of taps stay in registers. */
#include <stddef.h>
#include <string.h>

#include "tt_depthwise_conv2d.h"
#include "tt_unroll.h"
#include "tt_window_span.h"

#define MOST_COLUMNS 8
#define MOST_TAPS 7
#define MOST_ROWS 3

typedef struct {
    const tt_window_t *w;
    const float *x; /* at the first channel */
    const float *g;
    float *d[2]; /* rows of the channels */
    float scale;
} job_t;

/* One or two channels at an address. */
TT_INLINE tt_pair_t load(const float *address, int lanes)
{
    tt_pair_t pair;
    if (lanes == 2) {
        pair = TT_LOAD_PAIR(address);
    } else {
        pair.f[0] = *address;
        pair.f[1] = 0.0f;
    }
    return pair;
}

/* Output columns [column, column + valid) of row oy, under tap row r, of a tile of stride 2 that has room for more. */
TT_INLINE void tile(const job_t *job, float *acc0, float *acc1, int32_t r, int32_t oy, int32_t column, int taps,
                    int columns, int32_t valid, int lanes)
{
    const tt_window_t *w = job->w;
    float g0[MOST_COLUMNS];
    float g1[MOST_COLUMNS];
    const float *g = job->g + (oy * w->OW + column) * w->C;
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        g0[t] = g1[t] = 0.0f;
        if (t < valid) {
            const tt_pair_t value = load(g, lanes);
            g0[t] = value.f[0];
            g1[t] = value.f[1];
            g += w->C;
        }
    }
    const int32_t left = column * 2 - w->pl;
    const tt_span_t inputs = tt_taps_on_image(left, (valid - 1) * 2 + taps, w->W);
    const float *x = job->x + ((oy * w->sh + r - w->pt) * w->W + left + inputs.first) * w->C;
    const int count = (columns - 1) * 2 + taps;
    TT_UNROLL
    for (int j = 0; j < count; ++j) {
        if ((j >= taps - 1 || j >= inputs.first) && j < inputs.last) {
            const tt_pair_t value = load(x, lanes);
            x += w->C;
            TT_UNROLL
            for (int k = 0; k < taps; ++k) {
                if (j >= k && (j - k) % 2 == 0 && (j - k) / 2 < columns) {
                    const int t = (j - k) / 2;
                    acc0[k] = TT_MAC(acc0[k], value.f[0], g0[t]);
                    if (lanes == 2) {
                        acc1[k] = TT_MAC(acc1[k], value.f[1], g1[t]);
                    }
                }
            }
        }
    }
}

/* Stride 2: a known number of taps in a row, tiles of so many output columns. */
TT_INLINE void rows_of_tiles(const job_t *job, int taps, int columns, int lanes)
{
    const tt_window_t *w = job->w;
    for (int32_t r = 0; r < w->kh; ++r) {
        const tt_span_t lines = tt_outputs_of_tap(r, w->sh, w->pt, w->H, w->OH);
        float acc0[MOST_TAPS];
        float acc1[MOST_TAPS];
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            acc0[k] = acc1[k] = 0.0f;
        }
        for (int32_t oy = lines.first; oy < lines.last; ++oy) {
            for (int32_t column = 0; column < w->OW; column += columns) {
                tile(job, acc0, acc1, r, oy, column, taps, columns, tt_min_i32(columns, w->OW - column), lanes);
            }
        }
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            job->d[0][r * taps + k] += job->scale * acc0[k];
            if (lanes == 2) {
                job->d[1][r * taps + k] += job->scale * acc1[k];
            }
        }
    }
}

/* One column of inputs in all tap rows; the gradient of tap k is at g[(newest - k) mod taps]. */
TT_INLINE void column_of_inputs(float (*acc0)[MOST_TAPS], float (*acc1)[MOST_TAPS], const float **x,
                                int32_t pitch, const float *g0, const float *g1, int newest, int taps, int rows,
                                int lanes)
{
    TT_UNROLL
    for (int r = 0; r < rows; ++r) {
        const tt_pair_t value = load(x[r], lanes);
        TT_STEP(x[r], pitch);
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            const int t = (newest - k + taps) % taps;
            acc0[r][k] = TT_MAC(acc0[r][k], value.f[0], g0[t]);
            if (lanes == 2) {
                acc1[r][k] = TT_MAC(acc1[r][k], value.f[1], g1[t]);
            }
        }
    }
}

/* Makes room at the end of the gradients of the last columns. */
TT_INLINE void shift(float *g0, float *g1, int taps, float next0, float next1)
{
    TT_UNROLL
    for (int k = 0; k + 1 < taps; ++k) {
        g0[k] = g0[k + 1];
        g1[k] = g1[k + 1];
    }
    g0[taps - 1] = next0;
    g1[taps - 1] = next1;
}

/*
 * Stride 1: the sums of some tap rows stay in registers with the gradients of as many columns as there are taps, while
 * inputs and gradients pass by. All tap rows from r0 on lie on the image at the output rows of lines.
 */
TT_INLINE void slide(const job_t *job, int32_t r0, tt_span_t lines, int taps, int rows, int lanes)
{
    const tt_window_t *w = job->w;
    const int32_t first = tt_max_i32(0, -w->pl);
    const int32_t inputs = tt_min_i32(w->W, w->OW - 1 + taps - w->pl) - first;
    const int32_t fresh = tt_min_i32(inputs, w->OW - w->pl); /* inputs with which a new output column begins */
    float acc0[MOST_ROWS][MOST_TAPS];
    float acc1[MOST_ROWS][MOST_TAPS];
    TT_UNROLL
    for (int r = 0; r < rows; ++r) {
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            acc0[r][k] = acc1[r][k] = 0.0f;
        }
    }
    const int32_t pitch = w->C;
    for (int32_t oy = lines.first; oy < lines.last; ++oy) {
        const float *x[MOST_ROWS];
        TT_UNROLL
        for (int r = 0; r < rows; ++r) {
            x[r] = job->x + (oy + r0 + r - w->pt) * w->W * w->C;
        }
        const float *g = job->g + oy * w->OW * w->C;
        float g0[MOST_TAPS];
        float g1[MOST_TAPS];
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            g0[k] = g1[k] = 0.0f;
        }
        for (int32_t n = tt_min_i32(w->pl, w->OW); n > 0; --n) {
            const tt_pair_t next = load(g, lanes);
            shift(g0, g1, taps, next.f[0], next.f[1]);
            TT_STEP(g, pitch);
        }
        for (int32_t n = w->pl - w->OW; n > 0; --n) {
            shift(g0, g1, taps, 0.0f, 0.0f);
        }
        int32_t n = fresh;
        for (; n >= taps; n -= taps) {
            TT_UNROLL
            for (int newest = 0; newest < taps; ++newest) {
                const tt_pair_t next = load(g, lanes);
                TT_STEP(g, pitch);
                g0[newest] = next.f[0];
                g1[newest] = next.f[1];
                column_of_inputs(acc0, acc1, x, pitch, g0, g1, newest, taps, rows, lanes);
            }
        }
        for (; n > 0; --n) {
            const tt_pair_t next = load(g, lanes);
            TT_STEP(g, pitch);
            shift(g0, g1, taps, next.f[0], next.f[1]);
            column_of_inputs(acc0, acc1, x, pitch, g0, g1, taps - 1, taps, rows, lanes);
        }
        for (n = inputs - tt_max_i32(fresh, 0); n > 0; --n) {
            shift(g0, g1, taps, 0.0f, 0.0f);
            column_of_inputs(acc0, acc1, x, pitch, g0, g1, taps - 1, taps, rows, lanes);
        }
    }
    TT_UNROLL
    for (int r = 0; r < rows; ++r) {
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            job->d[0][(r0 + r) * taps + k] += job->scale * acc0[r][k];
            if (lanes == 2) {
                job->d[1][(r0 + r) * taps + k] += job->scale * acc1[r][k];
            }
        }
    }
}

/* Rows [first, last) of taps, at the output rows among lines at which they lie on the image. */
TT_INLINE void slide_rows(const job_t *job, int32_t first, int32_t last, tt_span_t lines, int taps, int lanes)
{
    const tt_window_t *w = job->w;
    for (int32_t r = first; r < last; ++r) {
        const tt_span_t valid = tt_outputs_of_tap(r, 1, w->pt, w->H, w->OH);
        const tt_span_t both = {tt_max_i32(valid.first, lines.first), tt_min_i32(valid.last, lines.last)};
        slide(job, r, both, taps, 1, lanes);
    }
}

/* Three rows of three taps go together where all of them lie on the image. */
TT_INLINE void slide_three(const job_t *job, int lanes)
{
    const tt_window_t *w = job->w;
    const tt_span_t all = {0, w->OH};
    const tt_span_t middle = {tt_outputs_of_tap(0, 1, w->pt, w->H, w->OH).first,
                              tt_outputs_of_tap(2, 1, w->pt, w->H, w->OH).last};
    if (w->kh != 3 || middle.first >= middle.last) {
        slide_rows(job, 0, w->kh, all, 3, lanes);
        return;
    }
    slide(job, 0, middle, 3, 3, lanes);
    const tt_span_t borders[2] = {{0, middle.first}, {middle.last, w->OH}};
    for (int i = 0; i < 2; ++i) {
        if (borders[i].first < borders[i].last) {
            slide_rows(job, 0, 3, borders[i], 3, lanes);
        }
    }
}

#define TT_SLIDE(taps, name, lanes)                                           \
    static TT_NOINLINE void name##_##taps##_1(const job_t *job)               \
    {                                                                         \
        const tt_span_t all = {0, job->w->OH};                                \
        slide_rows(job, 0, job->w->kh, all, taps, lanes);                     \
    }

#define TT_TILES(taps, columns, name, lanes)                    \
    static TT_NOINLINE void name##_##taps##_2(const job_t *job) \
    {                                                           \
        rows_of_tiles(job, taps, columns, lanes);               \
    }

static TT_NOINLINE void pair_3_1(const job_t *job)
{
    slide_three(job, 2);
}

static TT_NOINLINE void single_3_1(const job_t *job)
{
    slide_three(job, 1);
}

TT_SLIDE(5, pair, 2)
TT_SLIDE(5, single, 1)
TT_SLIDE(7, pair, 2)
TT_SLIDE(7, single, 1)
TT_TILES(3, 8, pair, 2)
TT_TILES(3, 8, single, 1)
TT_TILES(5, 8, pair, 2)
TT_TILES(5, 8, single, 1)
TT_TILES(7, 6, pair, 2)
TT_TILES(7, 6, single, 1)

/* Any window, one channel. */
static void single_of_points(const job_t *job)
{
    const tt_window_t *w = job->w;
    for (int32_t r = 0; r < w->kh; ++r) {
        const tt_span_t lines = tt_outputs_of_tap(r, w->sh, w->pt, w->H, w->OH);
        for (int32_t s = 0; s < w->kw; ++s) {
            const tt_span_t columns = tt_outputs_of_tap(s, w->sw, w->pl, w->W, w->OW);
            float sum = 0.0f;
            for (int32_t oy = lines.first; oy < lines.last; ++oy) {
                const int32_t line = (oy * w->sh + r - w->pt) * w->W + s - w->pl;
                for (int32_t ox = columns.first; ox < columns.last; ++ox) {
                    sum = TT_MAC(sum, job->x[(line + ox * w->sw) * w->C], job->g[(oy * w->OW + ox) * w->C]);
                }
            }
            job->d[0][r * w->kw + s] += job->scale * sum;
        }
    }
}

typedef void (*job_function_t)(const job_t *job);

typedef struct {
    job_function_t single;
    job_function_t pair; /* NULL: there is none */
} functions_t;

static functions_t functions_for(const tt_window_t *w)
{
    functions_t functions = {single_of_points, NULL};
    /* Wider padding than a window has taps would reach past the inputs that a tile looks at. */
    if (w->pl >= w->kw || (w->sw == 1 && w->sh != 1) || (w->OW - 1) * w->sw - w->pl >= w->W) {
        return functions;
    }
    switch (w->kw * 4 + tt_min_i32(w->sw, 3)) {
    case 3 * 4 + 1: functions = (functions_t){single_3_1, pair_3_1}; break;
    case 5 * 4 + 1: functions = (functions_t){single_5_1, pair_5_1}; break;
    case 7 * 4 + 1: functions = (functions_t){single_7_1, pair_7_1}; break;
    case 3 * 4 + 2: functions = (functions_t){single_3_2, pair_3_2}; break;
    case 5 * 4 + 2: functions = (functions_t){single_5_2, pair_5_2}; break;
    case 7 * 4 + 2: functions = (functions_t){single_7_2, pair_7_2}; break;
    default: break;
    }
    return functions;
}

static float sum_of_channel(const tt_window_t *w, const float *g)
{
    float sum = 0.0f;
    for (int32_t p = w->OH * w->OW; p > 0; --p) {
        sum += *g;
        g += w->C;
    }
    return sum;
}

void tt_depthwise_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                                      float scale, uint32_t parts, float *d)
{
    const int32_t trained = tt_trained_channels(rows);
    const functions_t functions = functions_for(window);
    if ((parts & TT_GRADIENT_ACCUMULATE) == 0u) {
        memset(d, 0, tt_trained_elements(rows) * sizeof(float));
    }
    int32_t together;
    for (int32_t k = 0; k < trained; k += together) {
        const int32_t channel = tt_trained_channel(rows, k);
        const bool aligned = window->C % 2 == 0 && channel % 2 == 0 && functions.pair != NULL;
        const bool pair = aligned && k + 1 < trained && tt_trained_channel(rows, k + 1) == channel + 1;
        together = pair ? 2 : 1;
        job_t job = {.w = window, .g = g + channel, .scale = scale};
        for (int32_t i = 0; i < together; ++i) {
            job.d[i] = d + (size_t)(k + i) * rows->stride;
            if ((parts & TT_GRADIENT_BIAS) != 0u) {
                job.d[i][window->kh * window->kw] += scale * sum_of_channel(window, job.g + i);
            }
        }
        if ((parts & TT_GRADIENT_WEIGHTS) != 0u) {
            job.x = x + channel;
            (pair ? functions.pair : functions.single)(&job);
        }
    }
}
