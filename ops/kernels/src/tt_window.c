/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_window.h"

#include <stdbool.h>
#include <stddef.h>

#define FLOAT_BYTES 4

/* Whether a * b * c floats take less than INT32_MAX bytes. b and c are below 2^29. */
static bool fits(int64_t a, int64_t b, int64_t c) {
    const int64_t limit = INT32_MAX / FLOAT_BYTES;
    return a <= limit && a * b <= limit && a * b * c <= limit;
}

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

tt_status_t tt_window_check(const tt_window_t *window) {
    const tt_window_t w = *window;
    const int32_t positive[] = {w.H, w.W, w.C, w.OH, w.OW, w.O, w.kh, w.kw, w.sh, w.sw};
    for (size_t i = 0; i < sizeof positive / sizeof positive[0]; ++i) {
        /* The limit on each size keeps the products below inside int64. */
        if (positive[i] < 1 || positive[i] > INT32_MAX / FLOAT_BYTES) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }
    if (w.pt < 0 || w.pl < 0 || !fits(w.H, w.W, w.C) || !fits(w.OH, w.OW, w.O) || !fits(w.kh, w.kw, w.C)) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    if (!fits((int64_t)w.kh * w.kw * w.C + 2, w.O, 1)) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    /* Positions count from the corner of the padding; one on padding is an element number, too, until it is skipped. */
    const int64_t rows = largest((int64_t)w.OH * w.sh + w.kh, (int64_t)w.H + w.pt);
    const int64_t columns = largest((int64_t)w.OW * w.sw + w.kw, (int64_t)w.W + w.pl);
    const int64_t channels = largest(w.C, w.O);
    if (!fits(rows, largest(w.W, w.OW), channels) || !fits(columns, channels, 1)) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    return TT_OK;
}

tt_status_t tt_window_check_depthwise(const tt_window_t *window) {
    return window->O == window->C ? tt_window_check(window) : TT_ERROR_INVALID_ARGUMENT;
}

tt_status_t tt_window_check_pool(const tt_window_t *window) {
    const tt_status_t status = tt_window_check_depthwise(window);
    if (status != TT_OK) {
        return status;
    }
    const bool first = window->pt < window->kh && window->pl < window->kw;
    const bool last = (window->OH - 1) * window->sh - window->pt < window->H &&
                      (window->OW - 1) * window->sw - window->pl < window->W;
    return first && last ? TT_OK : TT_ERROR_INVALID_ARGUMENT;
}

tt_status_t tt_window_check_pad(const tt_window_t *window) {
    const tt_status_t status = tt_window_check_depthwise(window);
    if (status != TT_OK) {
        return status;
    }
    const bool inside = window->pt <= window->OH - window->H && window->pl <= window->OW - window->W;
    return inside ? TT_OK : TT_ERROR_INVALID_ARGUMENT;
}
