/* SPDX-License-Identifier: Apache-2.0 */
/* How dense convolutions walk over the output. Internal to ops/kernels. */
#ifndef TT_CONV2D_COLUMNS_H
#define TT_CONV2D_COLUMNS_H

#include "tt_window_span.h"

/* Output positions and channels of a register tile. */
#define TT_TILE_PIXELS 4
#define TT_TILE_ROWS 4

static inline bool tt_is_pointwise(const tt_window_t *w) {
    return w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && w->pt == 0 && w->pl == 0 && w->OH == w->H &&
           w->OW == w->W;
}

/* A pointwise window over one row of H * W positions, so that no tile ends at the end of a row; any other unchanged. */
static inline tt_window_t tt_flattened(const tt_window_t *window) {
    tt_window_t w = *window;
    if (tt_is_pointwise(window)) {
        w.W = w.OW = w.H * w.W;
        w.H = w.OH = 1;
    }
    return w;
}

/* The output columns whose whole window lies inside the image's width. */
static inline tt_span_t tt_interior_columns(const tt_window_t *w) {
    const int32_t room = w->W - w->kw + w->pl;
    tt_span_t span = {(w->pl + w->sw - 1) / w->sw, 0};
    if (room >= 0) {
        span.last = tt_min_i32(w->OW, room / w->sw + 1);
    }
    if (span.last <= span.first) {
        span.first = span.last = 0;
    }
    return span;
}

#endif /* TT_CONV2D_COLUMNS_H */
