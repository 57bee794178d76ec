/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a plan that the board has chosen, in a build whose forward pass is integer arithmetic. */
#include "tt_engine.h"
#include "tt_engine_chosen.h"

/* The int8 rows of a layer follow what is kept in float32. */
static float *start_layer(tt_session_t *session, uint32_t layer) {
    tt_int8_rows_t *int8_rows = &session->int8_rows[layer];
    const tt_rows_t *rows = &session->rows[layer];
    float *end = tt_end_of_parts(session, layer);
    *int8_rows = *session->model->layers[layer].int8_base;
    int8_rows->shadow = (int8_t *)(void *)end;
    int8_rows->slot = rows->slot;
    tt_int8_rows_load(rows, int8_rows);
    return end + (size_t)rows->trained * (int8_rows->stride / sizeof(float));
}

void tt_start_chosen_int8(tt_session_t *session) {
    tt_lay_out_chosen(session, start_layer);
}
