/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_layout.h"

#include <stddef.h>
#include <string.h>

void tt_pad2d(const tt_window_t *window, const float *x, float *y) {
    const tt_window_t w = *window;
    const size_t row = (size_t)w.W * (size_t)w.C;
    const size_t padded_row = (size_t)w.OW * (size_t)w.C;
    memset(y, 0, (size_t)w.OH * padded_row * sizeof(float));
    y += (size_t)w.pt * padded_row + (size_t)w.pl * (size_t)w.C;
    for (int32_t iy = 0; iy < w.H; ++iy) {
        memcpy(y + (size_t)iy * padded_row, x + (size_t)iy * row, row * sizeof(float));
    }
}
