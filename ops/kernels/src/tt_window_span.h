/* SPDX-License-Identifier: Apache-2.0 */
/* Where a window meets the image, along one axis. Internal to ops/kernels. */
#ifndef TT_WINDOW_SPAN_H
#define TT_WINDOW_SPAN_H

#include "tt_kernel.h"
#include "tt_window.h"

typedef struct {
    int32_t first;
    int32_t last; /* one past the last; not above first where nothing is met */
} tt_span_t;

/* The taps of a window of that many taps that lie on an image of that size when its first tap lies at start. */
TT_INLINE tt_span_t tt_taps_on_image(int32_t start, int32_t taps, int32_t size) {
    const tt_span_t span = {tt_max_i32(0, -start), tt_min_i32(taps, size - start)};
    return span;
}

/* The image positions under the window at output position o. */
TT_INLINE tt_span_t tt_image_under_window(int32_t o, int32_t stride, int32_t pad, int32_t taps, int32_t size) {
    const int32_t start = o * stride - pad;
    const tt_span_t span = {tt_max_i32(0, start), tt_min_i32(size, start + taps)};
    return span;
}

/* The output positions below out at which a tap lies on the image. */
TT_INLINE tt_span_t tt_outputs_of_tap(int32_t tap, int32_t stride, int32_t pad, int32_t size, int32_t out) {
    /* C divides towards zero: both dividends are shifted so that a negative one still gives an empty span. */
    const tt_span_t span = {tt_max_i32(0, (pad - tap + stride - 1) / stride),
                            tt_min_i32(out, (size - 1 + pad - tap + stride) / stride)};
    return span;
}

#endif /* TT_WINDOW_SPAN_H */
