/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_DEPTHWISE_CONV2D_H
#define TT_DEPTHWISE_CONV2D_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_gradient_parts.h"
#include "tt_rows.h"
#include "tt_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Depthwise convolution of one image (N = 1, depth multiplier 1) and its gradients, for windows of any size and stride.
 *
 * window: in, one that tt_window_check_depthwise accepts. All arrays are float32, caller-owned, 8-byte aligned and do
 *         not overlap.
 * x, dx:  [H][W][C];  y, g: [OH][OW][C].
 * packed: in, [kh][kw][C]: the filter of a .tflite file as it is, or what tt_depthwise_pack_rows makes of rows.
 *
 * Nothing is checked but the size of packed where it is written: values that are not finite spread.
 */

/* Bytes that tt_depthwise_pack_rows writes: (kh * kw + 1) * C floats. window: as above. */
uint32_t tt_depthwise_packed_bytes(const tt_window_t *window);

/*
 * Collects the rows of a layer, wherever they lie, in the layout of the kernels: weights [kh][kw][C], then biases [C].
 *
 * rows:         in; row c holds the kh * kw weights of channel c, then its bias.
 * packed:       out, scratch that is valid until a row changes.
 * packed_bytes: what packed holds.
 * Returns TT_OK, or TT_ERROR_INVALID_ARGUMENT with nothing written if packed_bytes is below
 * tt_depthwise_packed_bytes(window).
 */
tt_status_t tt_depthwise_pack_rows(const tt_window_t *window, const tt_rows_t *rows, float *packed,
                                   uint32_t packed_bytes);

/*
 * y[oy][ox][c] = min(max(bias[c] + sum of x * packed, low), high)
 *
 * bias: in, [C]; NULL: it lies after the weights, at packed + kh * kw * C.
 * low, high: low <= high; -FLT_MAX and FLT_MAX where there is no bound.
 */
void tt_depthwise_conv2d(const tt_window_t *window, const float *x, const float *packed, const float *bias, float low,
                         float high, float *y);

/*
 * dx[iy][ix][c] = sum over the windows that cover (iy, ix) of g * packed at that tap
 *
 * accumulate: whether the sum is added to dx, in place of being written there.
 */
void tt_depthwise_conv2d_grad_input(const tt_window_t *window, const float *g, const float *packed, bool accumulate,
                                    float *dx);

/*
 * d[k] = scale * gradient of the row of channel c = rows->channels[k], for every k below rows->trained: weights
 * d[k][r][s] from the sum over (oy, ox) of g[oy][ox][c] * x at that tap, the bias after them from the sum of
 * g[oy][ox][c]
 *
 * x, rows, scale, parts, d: as for tt_conv2d_grad_weights, with kh * kw weights in a row.
 */
void tt_depthwise_conv2d_grad_weights(const tt_window_t *window, const float *x, const float *g, const tt_rows_t *rows,
                                      float scale, uint32_t parts, float *d);

#ifdef __cplusplus
}
#endif

#endif /* TT_DEPTHWISE_CONV2D_H */
