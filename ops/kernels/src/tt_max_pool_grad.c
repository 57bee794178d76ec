/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_pool.h"

#include <stddef.h>
#include <string.h>

#include "tt_window_span.h"

/* The element that holds the first largest value of a channel in a window. */
static int32_t winner_of(const tt_window_t *w, const float *x, tt_span_t rows, tt_span_t columns, int32_t c) {
    int32_t winner = (rows.first * w->W + columns.first) * w->C + c;
    for (int32_t iy = rows.first; iy < rows.last; ++iy) {
        for (int32_t ix = columns.first; ix < columns.last; ++ix) {
            const int32_t index = (iy * w->W + ix) * w->C + c;
            winner = x[index] > x[winner] ? index : winner;
        }
    }
    return winner;
}

void tt_max_pool_grad(const tt_window_t *window, const float *g, const float *x, float *dx) {
    const tt_window_t w = *window;
    memset(dx, 0, (size_t)(w.H * w.W * w.C) * sizeof(float));
    for (int32_t oy = 0; oy < w.OH; ++oy) {
        const tt_span_t rows = tt_image_under_window(oy, w.sh, w.pt, w.kh, w.H);
        for (int32_t ox = 0; ox < w.OW; ++ox) {
            const tt_span_t columns = tt_image_under_window(ox, w.sw, w.pl, w.kw, w.W);
            for (int32_t c = 0; c < w.C; ++c) {
                dx[winner_of(&w, x, rows, columns, c)] += g[c];
            }
            g += w.C;
        }
    }
}
