/* SPDX-License-Identifier: Apache-2.0 */
/* Two chosen channels that are neighbours in memory go together; the sums of a row of taps stay in registers. */
#include <stddef.h>
#include <string.h>

#include "tt_depthwise_conv2d.h"
#include "tt_unroll.h"
#include "tt_window_span.h"

#define MOST_COLUMNS 8
#define MOST_TAPS 7

static const tt_pair_t ZEROS;

typedef struct {
    const tt_window_t *w;
    const float *x; /* at the first channel */
    const float *g;
    float *d[2]; /* rows of the channels */
    float scale;
} job_t;

/* One or two channels at an address. */
TT_INLINE tt_pair_t load(const float *address, int lanes) {
    tt_pair_t pair;
    if (lanes == 2) {
        pair = TT_LOAD_PAIR(address);
    } else {
        pair.f[0] = *address;
        pair.f[1] = 0.0f;
    }
    return pair;
}

/* Gradients of as many output columns as a tile has, or of the first valid of them, against one row of inputs. */
TT_INLINE void tile(float *acc0, float *acc1, const float *x_line, const float *g, int32_t pitch, int32_t left,
                    int32_t width, int taps, int step, int columns, int32_t valid, int lanes, bool partial) {
    float g0[MOST_COLUMNS];
    float g1[MOST_COLUMNS];
    TT_UNROLL
    for (int t = 0; t < columns; ++t) {
        g0[t] = g1[t] = 0.0f;
        if (!partial || t < valid) {
            const tt_pair_t value = load(g, lanes);
            g0[t] = value.f[0];
            g1[t] = value.f[1];
            TT_STEP(g, pitch);
        }
    }
    const tt_span_t inputs = tt_taps_on_image(left, (valid - 1) * step + taps, width);
    const float *x = x_line + (left + inputs.first) * pitch;
    const int count = (columns - 1) * step + taps;
    TT_UNROLL
    for (int j = 0; j < count; ++j) {
        /* Only inputs near the borders can lie on padding. */
        const bool maybe_left = j < taps - 1;
        const bool maybe_right = partial || j > (columns - 1) * step;
        if ((!maybe_left || j >= inputs.first) && (!maybe_right || j < inputs.last)) {
            const tt_pair_t value = load(x, lanes);
            TT_STEP(x, pitch);
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

/*
 * The rows of a known number of taps, at the output rows among lines at which they lie on the image: full tiles of so
 * many columns, then partial ones for what is left.
 */
TT_INLINE void rows_of_tiles(const job_t *job, tt_span_t lines, int taps, int step, int full, int rest, int lanes) {
    const tt_window_t w = *job->w;
    const int32_t x_pitch = w.W * w.C;
    const int32_t g_pitch = w.OW * w.C;
    for (int32_t r = 0; r < w.kh; ++r) {
        tt_span_t valid = tt_outputs_of_tap(r, w.sh, w.pt, w.H, w.OH);
        valid.first = tt_max_i32(valid.first, lines.first);
        valid.last = tt_min_i32(valid.last, lines.last);
        float acc0[MOST_TAPS];
        float acc1[MOST_TAPS];
        TT_UNROLL
        for (int k = 0; k < taps; ++k) {
            acc0[k] = acc1[k] = 0.0f;
        }
        const float *x = job->x + (valid.first * w.sh + r - w.pt) * x_pitch;
        const float *g = job->g + valid.first * g_pitch;
        for (int32_t n = valid.last - valid.first; n > 0; --n) {
            const float *g_tile = g;
            int32_t left = -w.pl;
            int32_t columns = w.OW;
            for (; full > 0 && columns >= full; columns -= full) {
                tile(acc0, acc1, x, g_tile, w.C, left, w.W, taps, step, full, full, lanes, false);
                TT_STEP(g_tile, full * w.C);
                left += full * step;
            }
            for (; columns > 0; columns -= rest) {
                const int32_t count = tt_min_i32(rest, columns);
                tile(acc0, acc1, x, g_tile, w.C, left, w.W, taps, step, rest, count, lanes, true);
                TT_STEP(g_tile, rest * w.C);
                left += rest * step;
            }
            TT_STEP(x, w.sh * x_pitch);
            TT_STEP(g, g_pitch);
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

/* One column of inputs under three rows of three taps; the gradient of tap k is at g[(newest - k) mod 3]. */
TT_INLINE void column_of_inputs(float (*acc0)[3], float (*acc1)[3], const float **x, int32_t pitch, const float *g0,
                                const float *g1, int newest, int lanes) {
    TT_UNROLL
    for (int r = 0; r < 3; ++r) {
        const tt_pair_t value = load(x[r], lanes);
        TT_STEP(x[r], pitch);
        TT_UNROLL
        for (int k = 0; k < 3; ++k) {
            const int t = (newest - k + 3) % 3;
            acc0[r][k] = TT_MAC(acc0[r][k], value.f[0], g0[t]);
            if (lanes == 2) {
                acc1[r][k] = TT_MAC(acc1[r][k], value.f[1], g1[t]);
            }
        }
    }
}

/* Makes room for the gradient of the next column, at the end. */
TT_INLINE void shift(float *g0, float *g1, float next0, float next1) {
    g0[0] = g0[1];
    g1[0] = g1[1];
    g0[1] = g0[2];
    g1[1] = g1[2];
    g0[2] = next0;
    g1[2] = next1;
}

/*
 * Windows of 3 x 3 and stride 1, at output rows lines at which all tap rows lie on the image: all sums stay in
 * registers with the gradients of three columns, while inputs and gradients pass by.
 */
TT_INLINE void slide(const job_t *job, tt_span_t lines, int lanes) {
    const tt_window_t w = *job->w;
    const int32_t pitch = w.C;
    const int32_t x_pitch = w.W * pitch;
    const int32_t inputs = tt_min_i32(w.W, w.OW + 2 - w.pl);
    const int32_t fresh = tt_min_i32(inputs, w.OW - w.pl); /* inputs with which an output column begins */
    float acc0[3][3];
    float acc1[3][3];
    TT_UNROLL
    for (int r = 0; r < 3; ++r) {
        TT_UNROLL
        for (int k = 0; k < 3; ++k) {
            acc0[r][k] = acc1[r][k] = 0.0f;
        }
    }
    const float *line = job->x + (lines.first - w.pt) * x_pitch;
    const float *g_line = job->g + lines.first * w.OW * pitch;
    for (int32_t oy = lines.first; oy < lines.last; ++oy) {
        const float *x[3] = {line, line + x_pitch, line + 2 * x_pitch};
        const float *g = g_line;
        TT_STEP(line, x_pitch);
        TT_STEP(g_line, w.OW * pitch);
        float g0[3] = {0.0f, 0.0f, 0.0f};
        float g1[3] = {0.0f, 0.0f, 0.0f};
        if (w.pl == 2) {
            g0[1] = g[0];
            g1[1] = lanes == 2 ? g[1] : 0.0f;
            TT_STEP(g, pitch);
        }
        if (w.pl > 0) {
            const float *next = w.pl <= w.OW ? g : ZEROS.f;
            g0[2] = next[0];
            g1[2] = lanes == 2 ? next[1] : 0.0f;
            TT_STEP(g, pitch);
        }
        int32_t n = fresh;
        for (; n >= 3; n -= 3) {
            TT_UNROLL
            for (int newest = 0; newest < 3; ++newest) {
                /* Not as a pair: it outlives two more columns, and pairs leave gaps between the sums. */
                g0[newest] = g[0];
                g1[newest] = lanes == 2 ? g[1] : 0.0f;
                TT_STEP(g, pitch);
                column_of_inputs(acc0, acc1, x, pitch, g0, g1, newest, lanes);
            }
        }
        /* What is left, and the inputs with which no output column begins. */
        for (n = tt_max_i32(n, inputs - (fresh - n)); n > 0; --n) {
            const bool inside = n > inputs - fresh;
            const tt_pair_t next = load(inside ? g : ZEROS.f, lanes);
            TT_STEP(g, pitch);
            shift(g0, g1, next.f[0], next.f[1]);
            column_of_inputs(acc0, acc1, x, pitch, g0, g1, 2, lanes);
        }
    }
    TT_UNROLL
    for (int r = 0; r < 3; ++r) {
        TT_UNROLL
        for (int k = 0; k < 3; ++k) {
            job->d[0][r * 3 + k] += job->scale * acc0[r][k];
            if (lanes == 2) {
                job->d[1][r * 3 + k] += job->scale * acc1[r][k];
            }
        }
    }
}

typedef void (*rows_function_t)(const job_t *job, tt_span_t lines);

#define TT_ROWS(taps, step, full, rest, name, lanes)                                                                   \
    static TT_NOINLINE void name##_##taps##_##step(const job_t *job, tt_span_t lines) {                                \
        rows_of_tiles(job, lines, taps, step, full, rest, lanes);                                                      \
    }

TT_ROWS(3, 1, 8, 4, pair, 2)
TT_ROWS(3, 1, 8, 4, single, 1)
TT_ROWS(5, 1, 8, 4, pair, 2)
TT_ROWS(5, 1, 8, 4, single, 1)
TT_ROWS(7, 1, 6, 4, pair, 2)
TT_ROWS(7, 1, 6, 4, single, 1)
TT_ROWS(3, 2, 0, 8, pair, 2)
TT_ROWS(3, 2, 0, 8, single, 1)
TT_ROWS(5, 2, 0, 8, pair, 2)
TT_ROWS(5, 2, 0, 8, single, 1)
TT_ROWS(7, 2, 0, 6, pair, 2)
TT_ROWS(7, 2, 0, 6, single, 1)

static TT_NOINLINE void slide_pair(const job_t *job, tt_span_t lines) {
    slide(job, lines, 2);
}

static TT_NOINLINE void slide_single(const job_t *job, tt_span_t lines) {
    slide(job, lines, 1);
}

/* Slides where all tap rows lie on the image, and takes tiles above and below. */
TT_INLINE void slide_and_tiles(const job_t *job, tt_span_t lines, rows_function_t slides, rows_function_t tiles) {
    const tt_window_t *w = job->w;
    const int32_t first = tt_min_i32(lines.last, w->pt);
    const int32_t last = tt_max_i32(first, tt_min_i32(lines.last, w->H + w->pt - 2));
    const tt_span_t parts[3] = {{first, last}, {lines.first, first}, {last, lines.last}};
    for (int i = 0; i < 3; ++i) {
        if (parts[i].first < parts[i].last) {
            (i == 0 ? slides : tiles)(job, parts[i]);
        }
    }
}

static void pair_3x3(const job_t *job, tt_span_t lines) {
    slide_and_tiles(job, lines, slide_pair, pair_3_1);
}

static void single_3x3(const job_t *job, tt_span_t lines) {
    slide_and_tiles(job, lines, slide_single, single_3_1);
}

/* Any window, one channel. */
static void single_of_points(const job_t *job, tt_span_t all) {
    const tt_window_t *w = job->w;
    for (int32_t r = 0; r < w->kh; ++r) {
        const tt_span_t valid = tt_outputs_of_tap(r, w->sh, w->pt, w->H, w->OH);
        const tt_span_t lines = {tt_max_i32(valid.first, all.first), tt_min_i32(valid.last, all.last)};
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

typedef struct {
    rows_function_t single;
    rows_function_t pair; /* NULL: there is none */
} functions_t;

static functions_t functions_for(const tt_window_t *w) {
    functions_t functions = {single_of_points, NULL};
    /* Wider padding than a window has taps would reach past the inputs that a tile looks at. */
    if (w->pl >= w->kw || (w->OW - 1) * w->sw - w->pl >= w->W) {
        return functions;
    }
    if (w->kh == 3 && w->kw == 3 && w->sh == 1 && w->sw == 1) {
        return (functions_t){single_3x3, pair_3x3};
    }
    switch (w->kw * 4 + tt_min_i32(w->sw, 3)) {
    case 3 * 4 + 1:
        functions = (functions_t){single_3_1, pair_3_1};
        break;
    case 5 * 4 + 1:
        functions = (functions_t){single_5_1, pair_5_1};
        break;
    case 7 * 4 + 1:
        functions = (functions_t){single_7_1, pair_7_1};
        break;
    case 3 * 4 + 2:
        functions = (functions_t){single_3_2, pair_3_2};
        break;
    case 5 * 4 + 2:
        functions = (functions_t){single_5_2, pair_5_2};
        break;
    case 7 * 4 + 2:
        functions = (functions_t){single_7_2, pair_7_2};
        break;
    default:
        break;
    }
    return functions;
}

/* The sums of the gradients of one or two channels over all positions. */
TT_INLINE tt_pair_t sums_of(const tt_window_t *w, const float *g, int lanes) {
    float sum0 = 0.0f;
    float sum1 = 0.0f;
    const int32_t pitch = w->C;
    int32_t n = w->OH * w->OW;
    for (; n >= 4; n -= 4) {
        TT_UNROLL
        for (int i = 0; i < 4; ++i) {
            const tt_pair_t value = load(g, lanes);
            TT_STEP(g, pitch);
            sum0 += value.f[0];
            sum1 += value.f[1];
        }
    }
    for (; n > 0; --n) {
        const tt_pair_t value = load(g, lanes);
        TT_STEP(g, pitch);
        sum0 += value.f[0];
        sum1 += value.f[1];
    }
    return (tt_pair_t){.f = {sum0, sum1}};
}

void tt_depthwise_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                                      float scale, uint32_t parts, float *d) {
    const int32_t trained = tt_trained_channels(rows);
    const functions_t functions = functions_for(window);
    if ((parts & TT_GRADIENT_ACCUMULATE) == 0u) {
        memset(d, 0, tt_trained_elements(rows) * sizeof(float));
    }
    const tt_span_t lines = {0, window->OH};
    int32_t together;
    for (int32_t k = 0; k < trained; k += together) {
        const int32_t channel = tt_trained_channel(rows, k);
        const bool aligned = window->C % 2 == 0 && channel % 2 == 0 && functions.pair != NULL;
        const bool pair = aligned && k + 1 < trained && tt_trained_channel(rows, k + 1) == channel + 1;
        together = pair ? 2 : 1;
        job_t job = {.w = window, .g = g + channel, .scale = scale};
        for (int32_t i = 0; i < together; ++i) {
            job.d[i] = d + (size_t)(k + i) * rows->stride;
        }
        if ((parts & TT_GRADIENT_BIAS) != 0u) {
            const tt_pair_t sums = pair ? sums_of(window, job.g, 2) : sums_of(window, job.g, 1);
            for (int32_t i = 0; i < together; ++i) {
                job.d[i][window->kh * window->kw] += scale * sums.f[i];
            }
        }
        if ((parts & TT_GRADIENT_WEIGHTS) != 0u) {
            job.x = x + channel;
            (pair ? functions.pair : functions.single)(&job, lines);
        }
    }
}
