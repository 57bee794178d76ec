/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_model.h"

#include <string.h>

#include "tt_fake_kernel.h"
#include "tt_fake_weights.h"
#include "tt_finite.h"
#include "tt_loss.h"
#include "tt_optimizer.h"

#define MAGIC 0x74746c6du
#define LEARNING_RATE 0.1f

/* First input values on which the fake misbehaves, to test what the board does about it. */
#define HANG 1e30f
#define CRASH 2e30f
#define OVERFLOW_STACK 3e30f
#define DIVERGE 4e30f

static const uint32_t TRAINED_ROWS[TT_FAKE_TRAINED_ROWS] = {1u, 3u};

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

static tt_status_t check(const tt_session_t *session, const float *x, const void *result) {
    if (session == NULL || x == NULL || result == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (session->magic != MAGIC) {
        return TT_ERROR_NOT_INITIALISED;
    }
    if (!tt_all_finite(x, TT_MODEL_INPUT_ELEMENTS)) {
        return TT_ERROR_NOT_FINITE;
    }
    return misbehave(x[0]);
}

static void forward(tt_session_t *session, const float *x, float *outputs) {
    for (uint32_t row = 0; row < TT_FAKE_ROWS; ++row) {
        const float *weights = &TT_FAKE_WEIGHTS[row * TT_FAKE_STRIDE];
        for (uint32_t i = 0; i < TT_FAKE_TRAINED_ROWS; ++i) {
            if (TRAINED_ROWS[i] == row) {
                weights = &session->rows[i * TT_FAKE_STRIDE];
            }
        }
        outputs[row] = tt_fake_dot(weights, x, TT_MODEL_INPUT_ELEMENTS) + weights[TT_MODEL_INPUT_ELEMENTS];
    }
}

tt_status_t tt_init(tt_session_t *session, void *arena, size_t arena_bytes, void *row_pool, size_t row_pool_bytes) {
    if (session == NULL || arena == NULL || row_pool == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (arena_bytes < TT_MODEL_ARENA_BYTES) {
        return TT_ERROR_ARENA_TOO_SMALL;
    }
    if (row_pool_bytes < TT_MODEL_ROW_POOL_BYTES) {
        return TT_ERROR_ROW_POOL_TOO_SMALL;
    }
    if ((((uintptr_t)arena | (uintptr_t)row_pool) & 15u) != 0u) {
        return TT_ERROR_MISALIGNED;
    }
    session->magic = MAGIC;
    session->learning_rate = LEARNING_RATE;
    session->outputs = arena;
    session->gradients = session->outputs + TT_FAKE_ROWS;
    session->rows = row_pool;
#if TT_MODEL_HAS_PROTOTYPES
    session->prototypes.sums = session->rows + TT_FAKE_TRAINED_ROWS * TT_FAKE_STRIDE;
    session->prototypes.counts = (uint32_t *)(void *)(session->prototypes.sums + TT_MODEL_CLASSES * TT_FAKE_ROWS);
    session->prototypes.classes = TT_MODEL_CLASSES;
    session->prototypes.elements = TT_FAKE_ROWS;
    session->prototypes.temperature = 10.0f;
#endif
    return tt_reset(session);
}

tt_status_t tt_reset(tt_session_t *session) {
    if (session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    for (uint32_t i = 0; i < TT_FAKE_TRAINED_ROWS; ++i) {
        memcpy(&session->rows[i * TT_FAKE_STRIDE], &TT_FAKE_WEIGHTS[TRAINED_ROWS[i] * TT_FAKE_STRIDE],
               TT_FAKE_STRIDE * sizeof(float));
    }
#if TT_MODEL_HAS_PROTOTYPES
    return tt_prototypes_reset(&session->prototypes);
#else
    return TT_OK;
#endif
}

tt_status_t tt_set_learning_rate(tt_session_t *session, float learning_rate) {
    if (session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (!tt_all_finite(&learning_rate, 1u) || learning_rate < 0.0f) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    session->learning_rate = learning_rate;
    return TT_OK;
}

tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores) {
    const tt_status_t status = check(session, x, scores);
    if (status != TT_OK) {
        return status;
    }
#if TT_MODEL_HAS_PROTOTYPES
    forward(session, x, session->outputs);
    return tt_prototypes_scores(&session->prototypes, session->outputs, scores);
#else
    forward(session, x, scores);
    return TT_OK;
#endif
}

static tt_status_t loss_gradient(tt_session_t *session, uint32_t label, float *loss) {
#if TT_MODEL_HAS_PROTOTYPES
    float scores[TT_MODEL_CLASSES];
    return tt_prototypes_loss(&session->prototypes, session->outputs, label, scores, session->gradients, loss);
#else
    return tt_softmax_cross_entropy(session->outputs, TT_MODEL_CLASSES, label, session->gradients, loss);
#endif
}

tt_status_t tt_train_step(tt_session_t *session, const float *x, uint32_t label, float *loss) {
    tt_status_t status = check(session, x, loss);
    if (status != TT_OK) {
        return status;
    }
    forward(session, x, session->outputs);
    status = loss_gradient(session, label, loss);
    if (status != TT_OK) {
        return status;
    }
    for (uint32_t i = 0; i < TT_FAKE_TRAINED_ROWS; ++i) {
        const float rate = session->learning_rate * session->gradients[TRAINED_ROWS[i]];
        float *row = &session->rows[i * TT_FAKE_STRIDE];
        tt_sgd_update(row, x, TT_MODEL_INPUT_ELEMENTS, rate);
        row[TT_MODEL_INPUT_ELEMENTS] -= rate;
    }
    return TT_OK;
}

#if TT_MODEL_HAS_PROTOTYPES
tt_status_t tt_forget_prototypes(tt_session_t *session) {
    return session == NULL ? TT_ERROR_NULL_POINTER : tt_prototypes_reset(&session->prototypes);
}

tt_status_t tt_enroll(tt_session_t *session, const float *x, uint32_t label) {
    const tt_status_t status = check(session, x, x);
    if (status != TT_OK) {
        return status;
    }
    forward(session, x, session->outputs);
    return tt_prototypes_enroll(&session->prototypes, session->outputs, label);
}

tt_status_t tt_embedding(tt_session_t *session, const float *x, float *embedding) {
    const tt_status_t status = check(session, x, embedding);
    if (status == TT_OK) {
        forward(session, x, embedding);
    }
    return status;
}
#endif
