/* SPDX-License-Identifier: Apache-2.0 */
/* A model whose engine is written by hand, for tests of what surrounds it. */
#include "tt_model.h"

#include <string.h>

#include "tt_engine.h"
#include "tt_fake_kernel.h"
#include "tt_fake_weights.h"

/* First input values on which the fake misbehaves, to test what the board does about it. */
#define HANG 1e30f
#define CRASH 2e30f
#define OVERFLOW_STACK 3e30f
#define DIVERGE 4e30f

static const float LEARNING_RATE[] = {0.1f};
static const uint16_t CHOSEN[TT_FAKE_TRAINED_ROWS] = {1u, 3u};
static const uint16_t SLOTS[TT_FAKE_ROWS] = {TT_SLOT_FROZEN, 0u, TT_SLOT_FROZEN, 1u, TT_SLOT_FROZEN};
static const uint16_t NUMBERS[] = {0u};
static const uint16_t CHANNELS[] = {TT_FAKE_ROWS};

static uint32_t overflow_stack(uint32_t depth) {
    volatile uint32_t frame[256];
    frame[0] = depth;
    return depth == 0u ? 0u : overflow_stack(depth - 1u) + frame[0];
}

static tt_status_t misbehave(float first) {
    if (first == HANG) {
        for (volatile uint32_t forever = 1u; forever != 0u;) {
        }
    }
#if defined(__arm__)
    if (first == CRASH) {
        __asm__ volatile("udf #0");
    }
#endif
    if (first == OVERFLOW_STACK) {
        return overflow_stack(1000u) == 0u ? TT_OK : TT_ERROR_INVALID_ARGUMENT;
    }
    return first == DIVERGE ? TT_ERROR_NOT_FINITE : TT_OK;
}

static tt_status_t infer(tt_session_t *session, const float *x, const float **output) {
    float *outputs = TT_ARENA(float, 0u);
    const tt_status_t status = misbehave(x[0]);
    if (status != TT_OK) {
        return status;
    }
    for (int32_t row = 0; row < TT_FAKE_ROWS; ++row) {
        const float *weights = tt_row(&session->rows[0], row);
        outputs[row] = tt_fake_dot(weights, x, TT_MODEL_INPUT_ELEMENTS) + weights[TT_MODEL_INPUT_ELEMENTS];
    }
    *output = outputs;
    return TT_OK;
}

static tt_status_t train(tt_session_t *session, const float *x) {
    const float *output;
    float *gradients = TT_ARENA(float, 32u);
    tt_status_t status = infer(session, x, &output);
    if (status == TT_OK) {
        status = session->model->loss->gradient(session, output, gradients, session->scores, &session->loss);
    }
    if (status != TT_OK) {
        return status;
    }
    for (uint32_t i = 0; i < TT_FAKE_TRAINED_ROWS; ++i) {
        const float rate = session->hyper[0] * gradients[CHOSEN[i]];
        float *row = session->rows[0].pool + i * TT_FAKE_STRIDE;
        tt_sgd_update(row, x, TT_MODEL_INPUT_ELEMENTS, &rate);
        row[TT_MODEL_INPUT_ELEMENTS] -= rate;
    }
    session->steps += 1u;
    return TT_OK;
}

static const tt_engine_t ENGINE = {
    .open = tt_open_fixed,
    .start_rows = tt_start_fixed,
    .infer = infer,
    .train = train,
};

static const tt_layer_t LAYERS[] = {{
    .base = TT_FAKE_WEIGHTS,
    .chosen = CHOSEN,
    .slots = SLOTS,
    .stride = TT_FAKE_STRIDE,
    .trained = TT_FAKE_TRAINED_ROWS,
}};

#if TT_MODEL_HAS_PROTOTYPES
extern const tt_loss_t tt_loss_prototype;
#define SUMS_OFFSET (4 * TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE)
static const tt_prototype_place_t PROTOTYPES = {
    .sums_offset = SUMS_OFFSET,
    .counts_offset = SUMS_OFFSET + 4 * TT_MODEL_CLASSES * TT_FAKE_ROWS,
    .temperature = 10.0f,
};
#else
extern const tt_loss_t tt_loss_softmax;
#endif
extern const tt_optimizer_t tt_optimizer_sgd;

const tt_model_t tt_model = {
    .input_shape = "2,3,2",
    .engine = &ENGINE,
#if TT_MODEL_HAS_PROTOTYPES
    .loss = &tt_loss_prototype,
    .prototypes = &PROTOTYPES,
#else
    .loss = &tt_loss_softmax,
#endif
    .optimizer = &tt_optimizer_sgd,
    .hyper = LEARNING_RATE,
    .layers = LAYERS,
    .layer_numbers = NUMBERS,
    .layer_channels = CHANNELS,
    .image = {2u, 3u, 2u},
    .input_elements = TT_MODEL_INPUT_ELEMENTS,
    .output_elements = TT_FAKE_ROWS,
    .classes = TT_MODEL_CLASSES,
    .label_elements = 1u,
    .layer_count = 1u,
    .batch_size = 1u,
    .fused = true,
    .tables_offset = TT_MODEL_REGIONS_BYTES,
    .largest_state = TT_MODEL_STATE_BYTES,
    .arena_bytes = TT_MODEL_ARENA_BYTES,
    .row_pool_bytes = TT_MODEL_ROW_POOL_BYTES,
};
