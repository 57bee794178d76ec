/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_pool.h"

#include <stddef.h>
#include <string.h>

#include "tt_window_span.h"

void tt_avg_pool_grad(const tt_window_t *window, const float *g, float *dx) {
    const tt_window_t w = *window;
    memset(dx, 0, (size_t)(w.H * w.W * w.C) * sizeof(float));
    for (int32_t oy = 0; oy < w.OH; ++oy) {
        const tt_span_t rows = tt_image_under_window(oy, w.sh, w.pt, w.kh, w.H);
        for (int32_t ox = 0; ox < w.OW; ++ox) {
            const tt_span_t columns = tt_image_under_window(ox, w.sw, w.pl, w.kw, w.W);
            const float share = 1.0f / (float)((rows.last - rows.first) * (columns.last - columns.first));
            for (int32_t iy = rows.first; iy < rows.last; ++iy) {
                for (int32_t ix = columns.first; ix < columns.last; ++ix) {
                    float *target = dx + (iy * w.W + ix) * w.C;
                    for (int32_t c = 0; c < w.C; ++c) {
                        target[c] += g[c] * share;
                    }
                }
            }
            g += w.C;
        }
    }
}
