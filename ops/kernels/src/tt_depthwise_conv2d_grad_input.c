/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input i gathers the taps r with r = i + pad (mod stride) from output (i + pad - r) / stride: for each phase of the
 * stride a correlation whose taps run backwards.
 */
#include <stddef.h>

#include "tt_depthwise_conv2d.h"
#include "tt_depthwise_correlate.h"

static tt_axis_t axis_of(int32_t phase, int32_t size, int32_t out, int32_t taps, int32_t stride, int32_t pad) {
    const int32_t tap = (phase + pad) % stride;
    const int32_t count = tap < taps ? (taps - tap - 1) / stride + 1 : 0;
    const tt_axis_t axis = {
        .count = (size - phase - 1) / stride + 1,
        .step = stride,
        .start = phase,
        .source_step = 1,
        .source_start = (phase + pad - tap) / stride - (count - 1),
        .taps = count,
        .tap = tap + (count - 1) * stride,
        .tap_step = -stride,
        .size = out,
    };
    return axis;
}

void tt_depthwise_conv2d_grad_input(const tt_window_t *window, const float *g, const float *packed, bool accumulate,
                                    float *dx) {
    const tt_window_t *w = window;
    tt_correlation_t correlation = {
        .source = g,
        .taps = packed,
        .seed = accumulate ? dx : NULL,
        .target = dx,
        .channels = w->C,
        .source_width = w->OW,
        .target_width = w->W,
        .tap_width = w->kw,
    };
    for (int32_t row = 0; row < w->sh && row < w->H; ++row) {
        correlation.vertical = axis_of(row, w->H, w->OH, w->kh, w->sh, w->pt);
        for (int32_t column = 0; column < w->sw && column < w->W; ++column) {
            correlation.horizontal = axis_of(column, w->W, w->OW, w->kw, w->sw, w->pl);
            tt_depthwise_correlate(&correlation);
        }
    }
}
