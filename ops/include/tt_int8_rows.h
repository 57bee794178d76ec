/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a layer whose forward pass is integer arithmetic. A row is the int8 weights of one output channel in
 * (kh, kw, cin) order, zeros up to the last four bytes of the row, and its int32 bias (little-endian) in those. Rows
 * that are not trained stay in flash. A trained row is float32 and lies in the row pool (tt_rows.h); beside it lies its
 * shadow, the int8 row that the forward pass reads, quantised anew after every update with the scale of its channel.
 */
#ifndef TT_INT8_ROWS_H
#define TT_INT8_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tt_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of an output channel: weight = weight_scale * code, bias = bias_scale * code; the sum of products becomes an output
 * code by tt_requantized(sum, multiplier, shift). */
typedef struct {
    float weight_scale; /* positive */
    float bias_scale;   /* positive */
    int32_t multiplier;
    int32_t shift;
} tt_int8_channel_t;

typedef struct {
    const int8_t *base;                /* [channels][stride], read-only, 8-byte aligned */
    const tt_int8_channel_t *channels; /* [channels] */
    int8_t *shadow;                    /* [trained][stride], 8-byte aligned; NULL when nothing is trained */
    const uint16_t *slot;              /* as in tt_rows_t */
    uint32_t stride;                   /* bytes from one row to the next, a multiple of 8 */
    uint32_t weights;                  /* of a row */
} tt_int8_rows_t;

/* The int8 row of a channel, wherever it lies. channel is below the layer's number of channels. */
static inline const int8_t *tt_int8_row(const tt_int8_rows_t *rows, int32_t channel) {
    const uint32_t index = (uint32_t)channel;
    if (rows->slot == NULL || rows->slot[index] == TT_SLOT_FROZEN) {
        return rows->base + (size_t)index * rows->stride;
    }
    return rows->shadow + (size_t)rows->slot[index] * rows->stride;
}

/* The bias of a row. stride: of its layer. */
static inline int32_t tt_int8_bias(const int8_t *row, int32_t stride) {
    int32_t bias;
    memcpy(&bias, row + stride - (int32_t)sizeof bias, sizeof bias);
    return bias;
}

static inline int32_t tt_int8_multiplier(const tt_int8_rows_t *rows, int32_t channel) {
    return rows->channels[channel].multiplier;
}

static inline int32_t tt_int8_shift(const tt_int8_rows_t *rows, int32_t channel) {
    return rows->channels[channel].shift;
}

static inline float tt_int8_weight_scale(const tt_int8_rows_t *rows, int32_t channel) {
    return rows->channels[channel].weight_scale;
}

/*
 * Start the trained rows of a layer from the base: the pool becomes the real numbers behind the int8 rows.
 *
 * rows:   in; its pool is written, [trained][stride], the padding with zeros.
 * int8_rows: in, the same layer; its shadow is written.
 */
void tt_int8_rows_load(const tt_rows_t *rows, const tt_int8_rows_t *int8_rows);

/*
 * Quantise the trained rows of a layer anew: shadow = pool / scale, rounded to the nearest (halves away from zero),
 * weights within -127 .. 127, biases within -2^30 .. 2^30. Arguments as above; the pool is read.
 */
void tt_int8_rows_update(const tt_rows_t *rows, const tt_int8_rows_t *int8_rows);

#ifdef __cplusplus
}
#endif

#endif /* TT_INT8_ROWS_H */
