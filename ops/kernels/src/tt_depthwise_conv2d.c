/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_depthwise_conv2d.h"

#include <float.h>
#include <stddef.h>

#include "tt_depthwise_correlate.h"

void tt_depthwise_conv2d(const tt_window_t *window, const float *x, const float *packed, const float *bias, float low,
                         float high, float *y) {
    const tt_window_t *w = window;
    const tt_correlation_t correlation = {
        .vertical = {w->OH, 1, 0, w->sh, -w->pt, w->kh, 0, 1, w->H},
        .horizontal = {w->OW, 1, 0, w->sw, -w->pl, w->kw, 0, 1, w->W},
        .source = x,
        .taps = packed,
        .seed = bias != NULL ? bias : packed + w->kh * w->kw * w->C,
        .target = y,
        .channels = w->C,
        .source_width = w->W,
        .target_width = w->OW,
        .tap_width = w->kw,
        .bounded = low > -FLT_MAX || high < FLT_MAX,
        .low = low,
        .high = high,
    };
    tt_depthwise_correlate(&correlation);
}
