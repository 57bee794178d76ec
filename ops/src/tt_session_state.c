/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned, saved and loaded. */
#include <string.h>

#include "tt_session_parts.h"
#include "tt_state.h"

static uint32_t steps_of(const tt_session_t *session) {
    const tt_engine_t *engine = session->model->engine;
    return session->steps + (engine->steps != NULL ? engine->steps(session) : 0u);
}

static tt_state_t describe(const tt_session_t *session) {
    const tt_model_t *model = session->model;
    tt_state_t state;
    memset(&state, 0, sizeof state);
    memcpy(state.model, model->fingerprint, sizeof state.model);
    state.numbers = model->layer_numbers;
    state.channels_total = model->layer_channels;
    state.rows = session->rows;
    state.layers = model->layer_count;
    state.fixed_plan = model->choice == NULL;
    if (model->choice != NULL) {
        state.row_bytes = model->choice->row_bytes;
        state.rows_limit = model->choice->rows_bytes;
    }
    if (model->prototypes != NULL) {
        state.sums = session->prototypes.sums;
        state.counts = session->prototypes.counts;
        state.classes = model->classes;
        state.elements = model->output_elements;
    }
    state.steps = steps_of(session);
    return state;
}

size_t tt_state_bytes(const tt_session_t *session) {
    if (tt_check_session(session) != TT_OK) {
        return 0u;
    }
    const tt_state_t state = describe(session);
    return tt_state_size(&state);
}

tt_status_t tt_save(tt_session_t *session, const tt_storage_t *storage) {
    tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (session->soundness != TT_SOUND) {
        return TT_ERROR_NOT_FINITE;
    }
    const tt_engine_t *engine = session->model->engine;
    bool placed = false;
    if (engine->need_rows != NULL) {
        status = engine->need_rows(session, &placed);
        if (status != TT_OK) {
            return status;
        }
    }
    const tt_state_t state = describe(session);
    status = tt_state_save(&state, storage);
    if (status != TT_OK && placed) {
        engine->start_rows(session);
    }
    return status;
}

/* Takes up what a slot holds, in a session that has nothing learned. */
static tt_status_t take_up(tt_session_t *session, const tt_state_t *state, const tt_state_slot_t *slot) {
    const tt_choice_t *choice = session->model->choice;
    if (choice != NULL) {
        uint16_t *channels = (uint16_t *)(void *)(session->row_pool + choice->channels_offset);
        const tt_status_t status = tt_state_read_plan(state, slot, session->counts, channels);
        if (status != TT_OK) {
            return status;
        }
        session->model->engine->start_rows(session);
    }
    return tt_state_read_rows(state, slot);
}

tt_status_t tt_load(tt_session_t *session, const tt_storage_t *storage) {
    tt_state_slot_t slot;
    tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    const tt_engine_t *engine = session->model->engine;
    const tt_state_t state = describe(session);
    status = tt_state_find(&state, storage, &slot);
    if (status != TT_OK) {
        return status;
    }
    const float learning_rate = session->hyper[0];
    tt_clear_training(session);
    status = take_up(session, &state, &slot);
    if (status != TT_OK) {
        tt_clear_training(session); /* the storage failed half-way: better the base model than a mixture */
    } else {
        session->steps = slot.header.steps;
        if (engine->rows_changed != NULL) {
            engine->rows_changed(session);
        }
    }
    (void)tt_set_learning_rate(session, learning_rate);
    return status;
}
