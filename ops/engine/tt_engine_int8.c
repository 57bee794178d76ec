/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_engine.h"

void tt_quantize_rows(tt_session_t *session) {
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        tt_int8_rows_update(&session->rows[i], &session->int8_rows[i]);
    }
}
