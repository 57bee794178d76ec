/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a plan that the board has chosen. */
#include <string.h>

#include "tt_engine.h"
#include "tt_engine_chosen.h"
#include "tt_session_parts.h"

tt_status_t tt_open_chosen(tt_session_t *session, size_t arena_bytes) {
    (void)session;
    (void)arena_bytes;
    return TT_OK;
}

void tt_lay_out_chosen(tt_session_t *session, tt_start_layer_t start) {
    const tt_model_t *model = session->model;
    const tt_choice_t *choice = model->choice;
    float *row = TT_POOL(float, choice->rows_offset);
    uint16_t *slot = TT_POOL(uint16_t, choice->slots_offset);
    const uint16_t *channels = TT_POOL(const uint16_t, choice->channels_offset);
    session->chosen = 0u;
    memset(slot, 0xff, choice->channels * sizeof(uint16_t)); /* TT_SLOT_FROZEN */
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        tt_rows_t *rows = &session->rows[i];
        rows->base = model->layers[i].base;
        rows->stride = model->layers[i].stride;
        rows->trained = session->counts[i];
        rows->pool = row;
        rows->slot = slot;
        rows->channels = channels;
        for (uint32_t k = 0; k < rows->trained; ++k) {
            slot[channels[k]] = (uint16_t)k;
        }
        if (rows->trained > 0u) {
            session->chosen |= (uint64_t)1u << i;
        }
        row = start(session, i);
        slot += model->layer_channels[i];
        channels += model->layer_channels[i];
    }
}

float *tt_end_of_parts(const tt_session_t *session, uint32_t layer) {
    const tt_rows_t *rows = &session->rows[layer];
    const size_t elements = tt_trained_elements(rows);
    const uint32_t copies = session->model->choice->copies;
    memset(rows->pool + elements, 0, elements * (copies - 1u) * sizeof(float));
    return rows->pool + elements * copies;
}

static float *start_layer(tt_session_t *session, uint32_t layer) {
    const tt_rows_t *rows = &session->rows[layer];
    for (uint32_t k = 0; k < rows->trained; ++k) {
        memcpy(rows->pool + (size_t)k * rows->stride, rows->base + (size_t)rows->channels[k] * rows->stride,
               rows->stride * sizeof(float));
    }
    return tt_end_of_parts(session, layer);
}

void tt_start_chosen(tt_session_t *session) {
    tt_lay_out_chosen(session, start_layer);
}

void tt_clear_chosen_gradients(tt_session_t *session) {
    const uint32_t last = session->model->choice->copies - 1u;
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        memset(TT_PART(i, last), 0, tt_trained_elements(&session->rows[i]) * sizeof(float));
    }
    session->samples = 0u;
}
