/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a plan that was fixed at conversion. */
#include <string.h>

#include "tt_engine.h"
#include "tt_session_parts.h"

tt_status_t tt_open_fixed(tt_session_t *session, size_t arena_bytes) {
    (void)arena_bytes;
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        const tt_layer_t *layer = &session->model->layers[i];
        tt_rows_t *rows = &session->rows[i];
        rows->base = layer->base;
        rows->pool = (float *)(void *)(session->row_pool + layer->pool_offset);
        rows->slot = layer->slots;
        rows->channels = layer->chosen;
        rows->stride = layer->stride;
        rows->trained = layer->trained;
    }
    return TT_OK;
}

void tt_start_fixed(tt_session_t *session) {
    const tt_model_t *model = session->model;
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        const tt_rows_t *rows = &session->rows[i];
        for (uint32_t k = 0; k < rows->trained; ++k) {
            memcpy(rows->pool + (size_t)k * rows->stride, rows->base + (size_t)rows->channels[k] * rows->stride,
                   rows->stride * sizeof(float));
        }
    }
    memset(session->row_pool + model->state_offset, 0, model->state_bytes);
}

void tt_clear_fixed_gradients(tt_session_t *session) {
    memset(session->row_pool + session->model->gradient_offset, 0, session->model->gradient_bytes);
    session->samples = 0u;
}
