/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For one row of taps, the sums stay in registers with the gradients of a few output columns, while the inputs pass by.
 * Two chosen channels that are neighbours in memory go together.
 */
#include <stddef.h>
#include <string.h>

#include "tt_depthwise_conv2d.h"
#include "tt_unroll.h"
#include "tt_window_span.h"

#define MOST_COLUMNS 8
#define MOST_TAPS 7

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

/* Output columns [column, column + valid) of row oy, under tap row r; valid is columns unless the tile is partial. */
TT_INLINE void tile(const job_t *job, float *acc0, float *acc1, int32_t r, int32_t oy, int32_t column, int taps,
                    int step, int columns, int32_t valid, int lanes, bool partial)
{
    const tt_window_t *w = job->w;
    float g0[MOST_COLUMNS];
    float g1[MOST_COLUMNS];
    const float *g = job->g + (oy * w->OW + column) * w->C;
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        g0[t] = g1[t] = 0.0f;
        if (!partial || t < valid) {
            const tt_pair_t value = load(g, lanes);
            g0[t] = value.f[0];
            g1[t] = value.f[1];
            g += w->C;
        }
    }
    const int32_t left = column * step - w->pl;
    const tt_span_t inputs = tt_taps_on_image(left, (valid - 1) * step + taps, w->W);
    const float *x = job->x + ((oy * w->sh + r - w->pt) * w->W + left + inputs.first) * w->C;
    const int count = (columns - 1) * step + taps;
    TT_UNROLL
    for (int j = 0; j < count; ++j) {
        const bool maybe_left = j < taps - 1;
        const bool maybe_right = partial || j > (columns - 1) * step;
        if ((!maybe_left || j >= inputs.first) && (!maybe_right || j < inputs.last)) {
            const tt_pair_t value = load(x, lanes);
            x += w->C;
            TT_UNROLL
            for (int k = 0; k < taps; ++k) {
                if (j >= k && (j - k) % step == 0 && (j - k) / step < columns) {
                    const int t = (j - k) / step;
                    acc0[k] = TT_MAC(acc0[k], value.f[0], g0[t]);
                    if (lanes == 2) {
                        acc1[k] = TT_MAC(acc1[k], value.f[1], g1[t]);
                    }
                }
            }
        }
    }
}

/* A known number of taps in a row: full tiles of so many columns, then partial ones for what is left. */
TT_INLINE void rows_of_tiles(const job_t *job, int taps, int step, int full, int rest, int lanes)
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
            int32_t column = 0;
            for (; full > 0 && column + full <= w->OW; column += full) {
                tile(job, acc0, acc1, r, oy, column, taps, step, full, full, lanes, false);
            }
            for (; column < w->OW; column += rest) {
                tile(job, acc0, acc1, r, oy, column, taps, step, rest, tt_min_i32(rest, w->OW - column), lanes, true);
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

#define TT_TAP_ROWS(taps, step, full, rest)                              \
    static TT_NOINLINE void pair_##taps##_##step(const job_t *job)       \
    {                                                                    \
        rows_of_tiles(job, taps, step, full, rest, 2);                   \
    }                                                                    \
    static TT_NOINLINE void single_##taps##_##step(const job_t *job)     \
    {                                                                    \
        rows_of_tiles(job, taps, step, full, rest, 1);                   \
    }

TT_TAP_ROWS(3, 1, 8, 4)
TT_TAP_ROWS(5, 1, 8, 4)
TT_TAP_ROWS(7, 1, 6, 4)
TT_TAP_ROWS(3, 2, 0, 8)
TT_TAP_ROWS(5, 2, 0, 8)
TT_TAP_ROWS(7, 2, 0, 6)

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
    if (w->pl >= w->kw || (w->OW - 1) * w->sw - w->pl >= w->W) {
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
