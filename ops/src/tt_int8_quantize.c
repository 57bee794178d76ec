/* SPDX-License-Identifier: Apache-2.0 */
/* Not part of the generated kernels, which are compiled with a division that may be off in the last place. */
#include "tt_int8.h"

#include <math.h>

void tt_int8_quantize(const float *x, uint32_t count, float scale, int32_t zero, int8_t *codes) {
    const float low = (float)(INT8_MIN - zero);
    const float high = (float)(INT8_MAX - zero);
    uint32_t i;
    for (i = 0; i < count; ++i) {
        const float nearest = roundf(x[i] / scale);
        const float above = nearest > low ? nearest : low;
        codes[i] = (int8_t)((int32_t)(above < high ? above : high) + zero);
    }
}
