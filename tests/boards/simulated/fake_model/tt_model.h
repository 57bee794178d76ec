/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_MODEL_H
#define TT_MODEL_H

/* A hand-written stand-in for a generated build: one Dense layer of 5 rows over 12 inputs, rows 1 and 3 trained. */

#include <stddef.h>
#include <stdint.h>

#include "tt_adapt.h"
#include "tt_fake_variant.h"
#include "tt_session.h"

#define TT_FAKE_ROWS 5
#define TT_FAKE_STRIDE 14
#define TT_FAKE_TRAINED_ROWS 2

#define TT_MODEL_INPUT_ELEMENTS 12
#define TT_MODEL_LABEL_ELEMENTS 1
#define TT_MODEL_LABEL_VECTOR 0
#define TT_MODEL_DYNAMIC 0
#define TT_MODEL_ADAPTABLE 0
#define TT_MODEL_TRAINED_LAYERS 1
#define TT_MODEL_STATE_BYTES 512
#define TT_FAKE_SCORES (TT_MODEL_HAS_PROTOTYPES ? TT_MODEL_CLASSES : 0u)
#define TT_MODEL_ROW_POOL_BYTES TT_ROW_POOL_BYTES(TT_MODEL_REGIONS_BYTES, TT_TABLES_BYTES(1u, 0, 1u, TT_FAKE_SCORES, 0))
#if TT_MODEL_HAS_PROTOTYPES
#define TT_MODEL_CLASSES 3
#define TT_MODEL_EMBEDDING_ELEMENTS TT_FAKE_ROWS
#define TT_MODEL_REGIONS_BYTES (4 * (TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE + TT_MODEL_CLASSES * (TT_FAKE_ROWS + 1)))
#else
#define TT_MODEL_CLASSES TT_FAKE_ROWS
#define TT_MODEL_REGIONS_BYTES (4 * TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE)
#endif
#define TT_MODEL_ARENA_BYTES 64

extern const tt_model_t tt_model;

#endif /* TT_MODEL_H */
