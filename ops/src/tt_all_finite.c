/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_finite.h"

#include <string.h>

#define TT_FLOAT_EXPONENT_BITS 0x7f800000u

bool tt_all_finite(const float *values, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if ((bits & TT_FLOAT_EXPONENT_BITS) == TT_FLOAT_EXPONENT_BITS) {
            return false;
        }
    }
    return true;
}
