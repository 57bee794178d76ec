/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_finite.h"

#include <math.h>
#include <string.h>

#if defined(__FP_FAST_FMAF) && !defined(__FAST_MATH__)

/* 0 times NaN or infinity is NaN, and stays in the sum: one instruction an element where the core has fused
 * multiply-add. */
bool tt_all_finite(const float *values, uint32_t count) {
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint32_t i = 0u;
    for (; count - i >= 8u; i += 8u) {
        for (uint32_t k = 0; k < 4u; ++k) {
            sums[k] = fmaf(values[i + k], 0.0f, sums[k]);
            sums[k] = fmaf(values[i + 4u + k], 0.0f, sums[k]);
        }
    }
    for (; i < count; ++i) {
        sums[0] = fmaf(values[i], 0.0f, sums[0]);
    }
    return sums[0] + sums[1] + (sums[2] + sums[3]) == 0.0f;
}

#else

/* The sum of the exponent bits and the last place of the exponent runs into the sign where all of them are set. */
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
