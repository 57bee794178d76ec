/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "tt_depthwise_conv2d.h"

uint32_t tt_depthwise_packed_bytes(const tt_window_t *window) {
    return (uint32_t)((window->kh * window->kw + 1) * window->C) * (uint32_t)sizeof(float);
}

tt_status_t tt_depthwise_pack_rows(const tt_window_t *window, const tt_rows_t *rows, float *packed,
                                   uint32_t packed_bytes) {
    if (packed_bytes < tt_depthwise_packed_bytes(window)) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    const int32_t length = window->kh * window->kw + 1;
    for (int32_t c = 0; c < window->C; ++c) {
        const float *row = tt_row(rows, c);
        float *target = packed + c;
        for (int32_t tap = 0; tap < length; ++tap) {
            *target = row[tap];
            target += window->C;
        }
    }
    return TT_OK;
}
