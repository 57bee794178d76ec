/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_CONV2D_H
#define TT_CONV2D_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_gradient_parts.h"
#include "tt_rows.h"
#include "tt_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Dense convolution of one image (N = 1) and its gradients: windows of any size and stride, pointwise convolutions,
 * 1-D convolutions (H = kh = 1) and fully connected layers (one pixel), which the pointwise path serves.
 *
 * window: in, one that tt_window_check accepts. All arrays are float32, caller-owned, 8-byte aligned and do not
 *         overlap.
 * x, dx:  [H][W][C];  y, g: [OH][OW][O].
 * rows:   in; row o holds the weights of output channel o in (kh, kw, C) order. From stride kh * kw * C + 1 on, a row
 *         holds its bias after the weights. A frozen layer may be given as the filter of a .tflite file,
 *         [O][kh][kw][C]: base the filter, slot NULL, trained 0, stride kh * kw * C. The stride is even wherever C is.
 *
 * No scratch is needed. Nothing is checked: values that are not finite spread.
 */

/*
 * y[oy][ox][o] = min(max(bias + sum of x * row o, low), high)
 *
 * bias: in, [O]; NULL: the bias is the number after the weights of a row.
 * low, high: low <= high; -FLT_MAX and FLT_MAX where there is no bound.
 */
void tt_conv2d(const tt_window_t *window, const float *x, const tt_rows_t *rows, const float *bias, float low,
               float high, float *y);

/*
 * dx[iy][ix][c] = sum over the windows that cover (iy, ix), and over o, of g * row o at that tap
 *
 * accumulate: whether the sum is added to dx, in place of being written there.
 */
void tt_conv2d_grad_input(const tt_window_t *window, const float *g, const tt_rows_t *rows, bool accumulate, float *dx);

/*
 * d[k] = scale * gradient of the row of output channel rows->channels[k], for every k below rows->trained:
 * weights d[k][r][s][c] from the sum over (oy, ox) of g[oy][ox][channel] * x at that tap, the bias after them from the
 * sum of g[oy][ox][channel]
 *
 * x:     in; may be NULL without TT_GRADIENT_WEIGHTS.
 * rows:  in; of it channels, trained (0: nothing is done) and stride (even, kh * kw * C + 1 at least) are read.
 * scale: any; the samples of a step are averaged with it.
 * parts: sum of TT_GRADIENT_*.
 * d:     [trained][stride]. With TT_GRADIENT_ACCUMULATE the parts asked for are added to, the rest is left alone.
 *        Without it all of d is written, with zeros for a part that was not asked for and for the end of a row.
 */
void tt_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                            float scale, uint32_t parts, float *d);

#ifdef __cplusplus
}
#endif

#endif /* TT_CONV2D_H */
