/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_finite.h"

#include <math.h>
#include <string.h>

#if defined(__FP_FAST_FMAF) && !defined(__FAST_MATH__)

/* 0 times NaN or infinity is NaN, and stays in the sum: one instruction an element where the core has a fused
 * multiply-add. Two sums, so that one need not wait for the other. */
bool tt_all_finite(const float *values, uint32_t count) {
    float even = 0.0f;
    float odd = 0.0f;
    uint32_t i = 0u;
    for (; count - i >= 4u; i += 4u) {
        even = fmaf(values[i], 0.0f, even);
        odd = fmaf(values[i + 1u], 0.0f, odd);
        even = fmaf(values[i + 2u], 0.0f, even);
        odd = fmaf(values[i + 3u], 0.0f, odd);
    }
    for (; i < count; ++i) {
        even = fmaf(values[i], 0.0f, even);
    }
    return even + odd == 0.0f;
}

#else

/* One in the last place of the exponent carries into the sign exactly where all bits of the exponent are set. */
bool tt_all_finite(const float *values, uint32_t count) {
    uint32_t found = 0u;
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & 0x7fffffffu) + 0x00800000u;
    }
    return (found & 0x80000000u) == 0u;
}

#endif
