/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the rows of a layer lie. A row is the weights of one output channel in (kh, kw, cin) order, then its bias, then
 * padding to an even number of floats. Rows that are not trained stay in flash; trained rows lie in the row pool.
 */
#ifndef TT_ROWS_H
#define TT_ROWS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In a slot table: this channel is not trained. */
#define TT_SLOT_FROZEN UINT16_MAX

typedef struct {
    const float *base;        /* [channels][stride], read-only, 8-byte aligned */
    float *pool;              /* [trained][stride], 8-byte aligned; NULL when trained is 0 */
    const uint16_t *slot;     /* [channels]: row of the pool, or TT_SLOT_FROZEN; NULL when trained is 0 */
    const uint16_t *channels; /* [trained]: the chosen channels, ascending; NULL when trained is 0 */
    uint32_t stride;          /* floats from one row to the next, even */
    uint32_t trained;         /* number of chosen channels */
} tt_rows_t;

/* Kernels ask for a row once a tile; copies of the answer in each of them would be a tenth of a build's code. */
#if defined(__GNUC__)
#define TT_ONE_COPY static __attribute__((noinline, unused))
#else
#define TT_ONE_COPY static inline
#endif

/* The row of a channel, wherever it lies. channel is below the layer's number of channels. */
TT_ONE_COPY const float *tt_row(const tt_rows_t *rows, int32_t channel) {
    const uint32_t index = (uint32_t)channel;
    if (rows->slot == NULL || rows->slot[index] == TT_SLOT_FROZEN) {
        return rows->base + (size_t)index * rows->stride;
    }
    return rows->pool + (size_t)rows->slot[index] * rows->stride;
}

/* Floats of the trained rows of a layer, padding included. */
static inline uint32_t tt_trained_elements(const tt_rows_t *rows) {
    return rows->trained * rows->stride;
}

/* The number of chosen channels. */
static inline int32_t tt_trained_channels(const tt_rows_t *rows) {
    return (int32_t)rows->trained;
}

/* The number of the index-th chosen channel. index is below rows->trained. */
static inline int32_t tt_trained_channel(const tt_rows_t *rows, int32_t index) {
    return (int32_t)rows->channels[index];
}

#ifdef __cplusplus
}
#endif

#endif /* TT_ROWS_H */
