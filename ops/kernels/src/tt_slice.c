/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_layout.h"

#include <stddef.h>
#include <string.h>

void tt_slice(const float *x, uint32_t outer, uint32_t total, uint32_t offset, uint32_t length, float *y) {
    for (uint32_t i = 0; i < outer; ++i) {
        memcpy(y + (size_t)i * length, x + (size_t)i * total + offset, length * sizeof(float));
    }
}
