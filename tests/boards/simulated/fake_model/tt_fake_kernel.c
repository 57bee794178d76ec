/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_fake_kernel.h"

float tt_fake_dot(const float *a, const float *b, uint32_t count) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < count; ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}
