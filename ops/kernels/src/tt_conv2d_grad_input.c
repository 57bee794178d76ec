/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gradient of a position goes, weighted, to the whole window under it: a row of a window is kw * C neighbouring
 * floats of dx. A tile of positions and a few of those floats collects its sums over many output channels in registers;
 * of positions whose windows overlap it holds one.
 */
#include <string.h>

#include "tt_conv2d.h"
#include "tt_conv2d_columns.h"
#include "tt_unroll.h"

/* Channels whose rows are looked up at once. */
#define BLOCK_CHANNELS 64
#define MOST_PIXELS 4
#define MOST_FLOATS 8

typedef struct {
    const tt_window_t *w;
    const float *g; /* at the first channel of the block */
    float *dx;
    const float *row[BLOCK_CHANNELS];
    int32_t channels; /* of the block */
    bool fresh;       /* write, in place of adding: every element of dx is met once */
    bool pairs;       /* C is even */
    bool pairs_of_g;  /* O is even */
} job_t;

/* acc[t][j] += g[t][o] * rows[0][j] + g[t][o + 1] * rows[1][j], a tile of pixels by floats */
TT_INLINE void add_two_channels(float (*acc)[MOST_FLOATS], const float *const *rows, int32_t offset,
                                const float *const *g, int o, int pixels, int floats) {
    float w0[MOST_FLOATS];
    float w1[MOST_FLOATS];
    const float *row0 = rows[o];
    const float *row1 = rows[o + 1];
    TT_STEP(row0, offset);
    TT_STEP(row1, offset);
    TT_UNROLL
    for (int j = 0; j < floats; j += 2) {
        const tt_pair_t first = TT_LOAD_PAIR(row0 + j);
        const tt_pair_t second = TT_LOAD_PAIR(row1 + j);
        w0[j] = first.f[0];
        w0[j + 1] = first.f[1];
        w1[j] = second.f[0];
        w1[j + 1] = second.f[1];
    }
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        const tt_pair_t value = TT_LOAD_PAIR(g[t] + o);
        TT_UNROLL
        for (int j = 0; j < floats; ++j) {
            acc[t][j] = TT_MAC(acc[t][j], value.f[0], w0[j]);
            acc[t][j] = TT_MAC(acc[t][j], value.f[1], w1[j]);
        }
    }
}

/* acc[t][j] += g[t][o] * row[j] for a tile of pixels by floats */
TT_INLINE void add_channel(float (*acc)[MOST_FLOATS], const float *row, const float *const *g, int o, int pixels,
                           int floats, bool pairs) {
    float value[MOST_PIXELS];
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        value[t] = g[t][o];
    }
    TT_UNROLL
    for (int j = 0; j < floats; j += pairs ? 2 : 1) {
        tt_pair_t w;
        if (pairs) {
            w = TT_LOAD_PAIR(row + j);
        } else {
            w.f[0] = row[j];
        }
        TT_UNROLL
        for (int t = 0; t < pixels; ++t) {
            acc[t][j] = TT_MAC(acc[t][j], value[t], w.f[0]);
            if (pairs) {
                acc[t][j + 1] = TT_MAC(acc[t][j + 1], value[t], w.f[1]);
            }
        }
    }
}

/* dx[t * pitch + j] += sum over the channels of the block of g[t * O + channel] * row[offset + j] */
TT_INLINE void tile(const job_t *job, float *dx, int32_t pitch, const float *g, int32_t offset, int pixels, int floats,
                    bool pairs) {
    const int32_t g_pitch = job->w->O;
    const float *source[MOST_PIXELS];
    float acc[MOST_PIXELS][MOST_FLOATS];
    float *target = dx;
    const bool fresh = job->fresh;
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        source[t] = g;
        TT_STEP(g, g_pitch);
        TT_UNROLL
        for (int j = 0; j < floats; ++j) {
            acc[t][j] = fresh ? 0.0f : target[j];
        }
        TT_STEP(target, pitch);
    }
    const float *const *row = job->row;
    int32_t n = job->channels;
    for (; pairs && job->pairs_of_g && n >= 2; n -= 2) {
        add_two_channels(acc, row, offset, source, 0, pixels, floats);
        TT_UNROLL
        for (int t = 0; t < pixels; ++t) {
            TT_STEP(source[t], 2);
        }
        TT_STEP(row, 2);
    }
    for (; n > 0; --n) {
        add_channel(acc, row[0] + offset, source, 0, pixels, floats, pairs);
        TT_UNROLL
        for (int t = 0; t < pixels; ++t) {
            TT_STEP(source[t], 1);
        }
        TT_STEP(row, 1);
    }
    target = dx;
    TT_UNROLL
    for (int t = 0; t < pixels; ++t) {
        TT_UNROLL
        for (int j = 0; j < floats; ++j) {
            target[j] = acc[t][j];
        }
        TT_STEP(target, pitch);
    }
}

/* Output columns [column, column + pixels) of row oy; taps is the part of a window row that lies on the image. */
TT_INLINE void position(const job_t *job, int32_t oy, int32_t column, tt_span_t taps, int pixels, int floats,
                        bool pairs) {
    const tt_window_t *w = job->w;
    const tt_span_t lines = tt_taps_on_image(oy * w->sh - w->pt, w->kh, w->H);
    const float *g = job->g + (oy * w->OW + column) * w->O;
    const int32_t pitch = w->sw * w->C;
    const int32_t length = (taps.last - taps.first) * w->C;
    for (int32_t r = lines.first; r < lines.last && length > 0; ++r) {
        const int32_t line = oy * w->sh + r - w->pt;
        float *dx = job->dx + (line * w->W + column * w->sw - w->pl + taps.first) * w->C;
        const int32_t offset = (r * w->kw + taps.first) * w->C;
        int32_t j = 0;
        for (; j + floats <= length; j += floats) {
            tile(job, dx + j, pitch, g, offset + j, pixels, floats, pairs);
        }
        for (; pairs && j < length; j += 2) {
            tile(job, dx + j, pitch, g, offset + j, pixels, 2, true);
        }
        for (; j < length; ++j) {
            tile(job, dx + j, pitch, g, offset + j, pixels, 1, false);
        }
    }
}

static TT_NOINLINE void four_of_pairs(const job_t *job, int32_t oy, int32_t column, tt_span_t taps) {
    position(job, oy, column, taps, 4, 4, true);
}

static TT_NOINLINE void one_of_pairs(const job_t *job, int32_t oy, int32_t column, tt_span_t taps) {
    position(job, oy, column, taps, 1, 8, true);
}

static TT_NOINLINE void four_of_singles(const job_t *job, int32_t oy, int32_t column, tt_span_t taps) {
    position(job, oy, column, taps, 4, 4, false);
}

static TT_NOINLINE void one_of_singles(const job_t *job, int32_t oy, int32_t column, tt_span_t taps) {
    position(job, oy, column, taps, 1, 8, false);
}

static void add_block(const job_t *job) {
    const tt_window_t *w = job->w;
    const tt_span_t whole = {0, w->kw};
    const tt_span_t interior = tt_interior_columns(w);
    for (int32_t oy = 0; oy < w->OH; ++oy) {
        int32_t column = interior.first;
        if (w->sw >= w->kw) {
            for (; column + MOST_PIXELS <= interior.last; column += MOST_PIXELS) {
                (job->pairs ? four_of_pairs : four_of_singles)(job, oy, column, whole);
            }
        }
        const int32_t tiled = column;
        for (column = 0; column < w->OW; ++column) {
            column = column == interior.first ? tiled : column;
            if (column < w->OW) {
                const tt_span_t taps = tt_taps_on_image(column * w->sw - w->pl, w->kw, w->W);
                (job->pairs ? one_of_pairs : one_of_singles)(job, oy, column, taps);
            }
        }
    }
}

void tt_conv2d_grad_input(const tt_window_t *window, const float *g, const tt_rows_t *rows, bool accumulate,
                          float *dx) {
    const tt_window_t w = tt_flattened(window);
    const bool fresh = !accumulate && tt_is_pointwise(window);
    if (!accumulate && !fresh) {
        memset(dx, 0, (size_t)(w.H * w.W * w.C) * sizeof(float));
    }
    job_t job = {.w = &w, .dx = dx, .pairs = w.C % 2 == 0, .pairs_of_g = w.O % 2 == 0};
    for (int32_t first = 0; first < w.O; first += BLOCK_CHANNELS) {
        job.fresh = fresh && first == 0;
        job.channels = tt_min_i32(BLOCK_CHANNELS, w.O - first);
        job.g = g + first;
        for (int32_t i = 0; i < job.channels; ++i) {
            job.row[i] = tt_row(rows, first + i);
        }
        add_block(&job);
    }
}
