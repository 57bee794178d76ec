/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients that are added up over a task. */
#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_accumulate(tt_session_t *session, const float *x, const float *output_gradient) {
    tt_status_t status = output_gradient == NULL ? TT_ERROR_NULL_POINTER : tt_check_x(session, x);
    if (status != TT_OK) {
        return status;
    }
    const tt_model_t *model = session->model;
    if (!model->accumulates || model->loss->label == TT_LABEL_VECTOR) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (!tt_all_finite(output_gradient, model->output_elements)) {
        return TT_ERROR_NOT_FINITE;
    }
    status = model->engine->add_seed(session, x, output_gradient);
    tt_end_call(session);
    return status;
}

tt_status_t tt_update(tt_session_t *session) {
    tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (!session->model->accumulates) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (session->soundness == TT_ROWS_NOT_FINITE) {
        return TT_ERROR_NOT_FINITE;
    }
    status = session->model->engine->update(session);
    return status == TT_OK ? tt_note_rows(session) : status;
}
