/* SPDX-License-Identifier: Apache-2.0 */
/* A session: its memory, its checks, and starting anew. */
#include "tt_session.h"

#include <string.h>

#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_check_session(const tt_session_t *session) {
    if (session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    return session->state == TT_SESSION_READY ? TT_OK : TT_ERROR_NOT_INITIALISED;
}

tt_status_t tt_check_x(const tt_session_t *session, const float *x) {
    if (session == NULL || x == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (session->state != TT_SESSION_READY) {
        return TT_ERROR_NOT_INITIALISED;
    }
    if (!TT_IS_ALIGNED(x, 8u)) {
        return TT_ERROR_MISALIGNED;
    }
    if (session->soundness == TT_ROWS_NOT_FINITE || !tt_all_finite(x, session->model->input_elements)) {
        return TT_ERROR_NOT_FINITE;
    }
    return TT_OK;
}

tt_status_t tt_check_class(const tt_session_t *session, const float *x, uint32_t label) {
    const tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    const tt_loss_t *loss = session->model->loss;
    if (loss->label == TT_LABEL_VECTOR) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (loss->label == TT_LABEL_CLASS && label >= session->model->classes) {
        return TT_ERROR_LABEL_OUT_OF_RANGE;
    }
    const tt_status_t input = tt_check_x(session, x);
    return input == TT_OK && loss->check != NULL ? loss->check(session, label) : input;
}

tt_status_t tt_note_loss(tt_session_t *session, tt_status_t status) {
    if (session->soundness != TT_ROWS_NOT_FINITE) {
        session->soundness = status == TT_ERROR_NOT_FINITE ? TT_LOSS_NOT_FINITE : TT_SOUND;
    }
    return status;
}

tt_status_t tt_note_rows(tt_session_t *session) {
    const tt_model_t *model = session->model;
    bool finite = tt_all_finite((const float *)(const void *)(session->row_pool + model->state_offset),
                                model->state_bytes / (uint32_t)sizeof(float));
    for (uint32_t i = 0; i < model->layer_count && finite; ++i) {
        finite = tt_all_finite(session->rows[i].pool, (1u + model->moments) * tt_trained_elements(&session->rows[i]));
    }
    if (!finite) {
        session->soundness = TT_ROWS_NOT_FINITE;
        return TT_ERROR_NOT_FINITE;
    }
    return TT_OK;
}

void tt_end_call(tt_session_t *session) {
    session->scale = 0.0f;
    session->loss = 0.0f;
    session->label = 0u;
    session->target = NULL;
    if (session->scores != NULL) {
        memset(session->scores, 0, session->model->classes * sizeof(float));
    }
}

void tt_restart_optimizer(tt_session_t *session) {
    const tt_optimizer_t *optimizer = session->model->optimizer;
    session->samples = 0u;
    session->steps = 0u;
    if (optimizer->restart != NULL) {
        optimizer->restart(session->hyper);
    }
}

void tt_start_training(tt_session_t *session) {
    session->model->engine->start_rows(session);
    tt_restart_optimizer(session);
    session->soundness = TT_SOUND;
}

void tt_clear_training(tt_session_t *session) {
    const tt_model_t *model = session->model;
    memcpy(session->hyper, model->hyper, model->optimizer->hyper_elements * sizeof(float));
    if (session->counts != NULL) {
        memset(session->counts, 0, model->layer_count * sizeof(uint16_t));
        model->engine->clear_potentials(session);
        session->inspected = 0u;
    }
    tt_start_training(session);
    if (model->engine->hyper_changed != NULL) {
        model->engine->hyper_changed(session);
    }
    if (model->prototypes != NULL) {
        memset(session->prototypes.sums, 0, (size_t)model->classes * model->output_elements * sizeof(float));
        memset(session->prototypes.counts, 0, model->classes * sizeof(uint32_t));
    }
}

/* The arrays of the session, one after the other at the end of the row pool. */
static void place_tables(tt_session_t *session, const tt_model_t *model) {
    uint8_t *next = session->row_pool + model->tables_offset;
    session->rows = (tt_rows_t *)(void *)next;
    next += TT_TABLE_BYTES(model->layer_count, tt_rows_t);
    if (model->int8) {
        session->int8_rows = (tt_int8_rows_t *)(void *)next;
        next += TT_TABLE_BYTES(model->layer_count, tt_int8_rows_t);
    }
    session->hyper = (float *)(void *)next;
    next += TT_TABLE_BYTES(model->optimizer->hyper_elements, float);
    if (model->prototypes != NULL) {
        session->scores = (float *)(void *)next;
        next += TT_TABLE_BYTES(model->classes, float);
    }
    if (model->choice != NULL) {
        session->counts = (uint16_t *)(void *)next;
    }
}

static void place_prototypes(tt_session_t *session, const tt_model_t *model) {
    const tt_prototype_place_t *place = model->prototypes;
    session->prototypes.sums = (float *)(void *)(session->row_pool + place->sums_offset);
    session->prototypes.counts = (uint32_t *)(void *)(session->row_pool + place->counts_offset);
    session->prototypes.classes = model->classes;
    session->prototypes.elements = model->output_elements;
    session->prototypes.temperature = place->temperature;
}

tt_status_t tt_init(tt_session_t *session, const tt_model_t *model, void *arena, size_t arena_bytes, void *row_pool,
                    size_t row_pool_bytes) {
    if (session == NULL || model == NULL || arena == NULL || row_pool == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    session->state = 0u;
    if (!TT_IS_ALIGNED(arena, 16u) || !TT_IS_ALIGNED(row_pool, 16u)) {
        return TT_ERROR_MISALIGNED;
    }
    if (arena_bytes < model->arena_bytes) {
        return TT_ERROR_ARENA_TOO_SMALL;
    }
    if (row_pool_bytes < model->row_pool_bytes) {
        return TT_ERROR_ROW_POOL_TOO_SMALL;
    }
    memset(session, 0, sizeof *session);
    memset((uint8_t *)row_pool + model->tables_offset, 0, model->row_pool_bytes - model->tables_offset);
    session->model = model;
    session->arena = arena;
    session->row_pool = row_pool;
    place_tables(session, model);
    if (model->prototypes != NULL) {
        place_prototypes(session, model);
    }
    const tt_status_t status = model->engine->open(session, arena_bytes);
    if (status != TT_OK) {
        return status;
    }
    tt_clear_training(session);
    session->state = TT_SESSION_READY;
    return TT_OK;
}

tt_status_t tt_reset(tt_session_t *session) {
    const tt_status_t status = tt_check_session(session);
    if (status == TT_OK) {
        tt_clear_training(session);
    }
    return status;
}

tt_status_t tt_set_learning_rate(tt_session_t *session, float learning_rate) {
    const tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (!tt_all_finite(&learning_rate, 1u) || learning_rate < 0.0f) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    session->hyper[0] = learning_rate;
    if (session->model->engine->hyper_changed != NULL) {
        session->model->engine->hyper_changed(session);
    }
    return TT_OK;
}
