/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_int8_rows.h"

#include <math.h>

#define WEIGHT_LIMIT 127.0f
#define BIAS_LIMIT 1073741824.0f

static const tt_int8_channel_t *channel_of(const tt_rows_t *rows, const tt_int8_rows_t *int8_rows, uint32_t k) {
    return &int8_rows->channels[rows->channels[k]];
}

/* A NaN gives the lower limit: whatever training has come to, the result is an integer. */
static float rounded(float value, float limit) {
    const float nearest = roundf(value);
    const float above = nearest > -limit ? nearest : -limit;
    return above < limit ? above : limit;
}

void tt_int8_rows_load(const tt_rows_t *rows, const tt_int8_rows_t *int8_rows) {
    uint32_t k;
    for (k = 0; k < rows->trained; ++k) {
        const tt_int8_channel_t *channel = channel_of(rows, int8_rows, k);
        const int8_t *base = int8_rows->base + (size_t)rows->channels[k] * int8_rows->stride;
        float *row = rows->pool + (size_t)k * rows->stride;
        uint32_t i;
        memcpy(int8_rows->shadow + (size_t)k * int8_rows->stride, base, int8_rows->stride);
        for (i = 0; i < int8_rows->weights; ++i) {
            row[i] = channel->weight_scale * (float)base[i];
        }
        row[i] = channel->bias_scale * (float)tt_int8_bias(base, (int32_t)int8_rows->stride);
        for (++i; i < rows->stride; ++i) {
            row[i] = 0.0f;
        }
    }
}

void tt_int8_rows_update(const tt_rows_t *rows, const tt_int8_rows_t *int8_rows) {
    uint32_t k;
    for (k = 0; k < rows->trained; ++k) {
        const tt_int8_channel_t *channel = channel_of(rows, int8_rows, k);
        const float *row = rows->pool + (size_t)k * rows->stride;
        int8_t *shadow = int8_rows->shadow + (size_t)k * int8_rows->stride;
        const int32_t bias = (int32_t)rounded(row[int8_rows->weights] / channel->bias_scale, BIAS_LIMIT);
        uint32_t i;
        for (i = 0; i < int8_rows->weights; ++i) {
            shadow[i] = (int8_t)rounded(row[i] / channel->weight_scale, WEIGHT_LIMIT);
        }
        memcpy(shadow + int8_rows->stride - sizeof bias, &bias, sizeof bias);
    }
}
