/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_int8.h"

/* value / 2^exponent, halves rounded away from zero. exponent: 0 .. 31. */
static int32_t rounded_quotient(int32_t value, int32_t exponent) {
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
    return (value >> exponent) + ((value & mask) > threshold ? 1 : 0);
}

int32_t tt_int8_requantize(int32_t value, int32_t multiplier, int32_t shift) {
    int64_t shifted = value;
    if (shift > 0) {
        shifted *= (int64_t)1 << shift;
        shifted = shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : shifted;
        shift = 0;
    }
    return rounded_quotient((int32_t)((shifted * multiplier + ((int64_t)1 << 30)) >> 31), -shift);
}
