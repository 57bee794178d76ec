/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_LAYOUT_H
#define TT_LAYOUT_H

#include <stdint.h>

#include "tt_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kernels that move data. All arrays are float32, caller-owned and do not overlap. Nothing is checked. */

/*
 * The part of x that came from one input of a concatenation.
 *
 * x: in, [outer][total];  y: out, [outer][length], from [.][offset .. offset + length).  offset + length <= total.
 */
void tt_slice(const float *x, uint32_t outer, uint32_t total, uint32_t offset, uint32_t length, float *y);

/* y = x with zeros around it. window: one that tt_window_check_pad accepts. x: [H][W][C]; y: [OH][OW][C]. */
void tt_pad2d(const tt_window_t *window, const float *x, float *y);

/* dx = the part of g that is not padding. window: as for tt_pad2d. g: [OH][OW][C]; dx: [H][W][C]. */
void tt_crop2d(const tt_window_t *window, const float *g, float *dx);

#ifdef __cplusplus
}
#endif

#endif /* TT_LAYOUT_H */
