/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_WINDOW_H
#define TT_WINDOW_H

#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A kh x kw window moved over an H x W x C image (NHWC, N = 1) by strides (sh, sw), with pt rows and pl columns of
 * padding above and to the left; the output is OH x OW x O. What is missing below and to the right is padding too.
 * Window position (r, s) of output (oy, ox) lies on the image at (oy * sh + r - pt, ox * sw + s - pl).
 *
 * A pointwise convolution has kh = kw = sh = sw = 1 and pt = pl = 0; a fully connected layer is one of a single pixel:
 * H = W = OH = OW = 1, C inputs, O outputs.
 */
typedef struct {
    int32_t H;
    int32_t W;
    int32_t C;
    int32_t OH;
    int32_t OW;
    int32_t O;
    int32_t kh;
    int32_t kw;
    int32_t sh;
    int32_t sw;
    int32_t pt;
    int32_t pl;
} tt_window_t;

/*
 * The kernels check nothing: whoever takes a window from outside calls one of these once, before the first use.
 *
 * window: in, not NULL.
 * Returns TT_OK, or TT_ERROR_INVALID_ARGUMENT if a size or stride is below 1 or a padding below 0, if an array that the
 * kernels of ops/kernels index with it (image, output, rows with their biases) would be INT32_MAX bytes or more, or
 * if a position, padding included, would leave int32. A window may lie on padding alone: it sees zeros.
 */
tt_status_t tt_window_check(const tt_window_t *window);

/* The same, and O == C: depthwise convolutions of depth multiplier 1. */
tt_status_t tt_window_check_depthwise(const tt_window_t *window);

/* The same, O == C, and every window covers at least one position of the image: pooling. */
tt_status_t tt_window_check_pool(const tt_window_t *window);

/*
 * For padding: H, W, C is the inner image, OH, OW the padded one, pt and pl what lies above and to the left. The same,
 * O == C, and the image lies inside the padded one: pt + H <= OH, pl + W <= OW.
 */
tt_status_t tt_window_check_pad(const tt_window_t *window);

#ifdef __cplusplus
}
#endif

#endif /* TT_WINDOW_H */
