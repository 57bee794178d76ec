/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_layout.h"

#include <stddef.h>
#include <string.h>

void tt_crop2d(const tt_window_t *window, const float *g, float *dx) {
    const tt_window_t w = *window;
    const size_t row = (size_t)w.W * (size_t)w.C;
    const size_t padded_row = (size_t)w.OW * (size_t)w.C;
    g += (size_t)w.pt * padded_row + (size_t)w.pl * (size_t)w.C;
    for (int32_t iy = 0; iy < w.H; ++iy) {
        memcpy(dx + (size_t)iy * row, g + (size_t)iy * padded_row, row * sizeof(float));
    }
}
