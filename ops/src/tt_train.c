/* SPDX-License-Identifier: Apache-2.0 */
/* One step of training: what surrounds the passes of an engine. */
#include "tt_session_parts.h"

tt_status_t tt_train(tt_session_t *session, const float *x, float *loss) {
    tt_status_t status = tt_note_loss(session, session->model->engine->train(session, x));
    const float value = session->loss;
    tt_end_call(session);
    if (status != TT_OK) {
        return status;
    }
    if (session->samples == 0u) {
        status = tt_note_rows(session); /* they have been updated */
    }
    if (loss != NULL) {
        *loss = value;
    }
    return status;
}

tt_status_t tt_train_step(tt_session_t *session, const float *x, uint32_t label, float *loss) {
    const tt_status_t status = tt_check_class(session, x, label);
    if (status != TT_OK) {
        return status;
    }
    session->label = label;
    return tt_train(session, x, loss);
}
