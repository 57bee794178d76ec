/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_FAKE_KERNEL_H
#define TT_FAKE_KERNEL_H

#include <stdint.h>

/* Returns the sum of the products of two arrays of count floats. */
float tt_fake_dot(const float *a, const float *b, uint32_t count);

#endif /* TT_FAKE_KERNEL_H */
