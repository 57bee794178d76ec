/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_MODEL_H
#define TT_MODEL_H

/* A hand-written stand-in for a generated build: one Dense layer of 5 rows over 12 inputs, rows 1 and 3 trained. */

#include <stddef.h>
#include <stdint.h>

#include "tt_fake_variant.h"
#include "tt_prototype.h"
#include "tt_status.h"

#define TT_FAKE_ROWS 5
#define TT_FAKE_STRIDE 14
#define TT_FAKE_TRAINED_ROWS 2

#define TT_MODEL_INPUT_ELEMENTS 12
#if TT_MODEL_HAS_PROTOTYPES
#define TT_MODEL_CLASSES 3
#define TT_MODEL_EMBEDDING_ELEMENTS TT_FAKE_ROWS
#define TT_MODEL_ROW_POOL_BYTES (4 * (TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE + TT_MODEL_CLASSES * (TT_FAKE_ROWS + 1)))
#else
#define TT_MODEL_CLASSES TT_FAKE_ROWS
#define TT_MODEL_ROW_POOL_BYTES (4 * TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE)
#endif
#define TT_MODEL_ARENA_BYTES 64

typedef struct tt_session {
    uint32_t magic;
    float learning_rate;
    float *outputs;
    float *gradients;
    float *rows;
    tt_prototypes_t prototypes;
} tt_session_t;

tt_status_t tt_init(tt_session_t *session, void *arena, size_t arena_bytes, void *row_pool, size_t row_pool_bytes);
tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores);
tt_status_t tt_train_step(tt_session_t *session, const float *x, uint32_t label, float *loss);
tt_status_t tt_reset(tt_session_t *session);
tt_status_t tt_set_learning_rate(tt_session_t *session, float learning_rate);
#if TT_MODEL_HAS_PROTOTYPES
tt_status_t tt_forget_prototypes(tt_session_t *session);
tt_status_t tt_enroll(tt_session_t *session, const float *x, uint32_t label);
tt_status_t tt_embedding(tt_session_t *session, const float *x, float *embedding);
#endif

#endif /* TT_MODEL_H */
