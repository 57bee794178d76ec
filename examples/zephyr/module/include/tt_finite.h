/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_FINITE_H
#define TT_FINITE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Tells whether no value is NaN or infinite. Looks at the bit patterns, so the answer holds in
 * translation units compiled with -ffast-math too.
 *
 * values: in, [count], IEEE 754 single precision; may be NULL when count is 0.
 * Returns true for count 0.
 */
bool tt_all_finite(const float *values, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* TT_FINITE_H */
