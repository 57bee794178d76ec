/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_POOL_H
#define TT_POOL_H

#include "tt_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gradients of pooling of one image (N = 1); padding never takes part.
 *
 * window: in, one that tt_window_check_pool accepts. All arrays are float32, caller-owned and do not overlap.
 * x, dx: [H][W][C];  g: [OH][OW][C].
 *
 * Nothing is checked: values that are not finite spread.
 */

/* Average: dx = sum over the windows that cover the position of g / positions of that window on the image */
void tt_avg_pool_grad(const tt_window_t *window, const float *g, float *dx);

/* Maximum: dx = sum of g over the windows whose first largest value of x, row by row, lies at the position. */
void tt_max_pool_grad(const tt_window_t *window, const float *g, const float *x, float *dx);

#ifdef __cplusplus
}
#endif

#endif /* TT_POOL_H */
