/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a plan that was fixed at conversion, in a build whose forward pass is integer arithmetic. */
#include <string.h>

#include "tt_engine.h"
#include "tt_session_parts.h"

tt_status_t tt_open_fixed_int8(tt_session_t *session, size_t arena_bytes) {
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        const tt_layer_t *layer = &session->model->layers[i];
        session->int8_rows[i] = *layer->int8_base;
        session->int8_rows[i].shadow = (int8_t *)(session->row_pool + layer->shadow_offset);
        session->int8_rows[i].slot = layer->slots;
    }
    return tt_open_fixed(session, arena_bytes);
}

void tt_start_fixed_int8(tt_session_t *session) {
    const tt_model_t *model = session->model;
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        tt_int8_rows_load(&session->rows[i], &session->int8_rows[i]);
    }
    memset(session->row_pool + model->state_offset, 0, model->state_bytes);
}
