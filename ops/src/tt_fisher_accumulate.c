/* SPDX-License-Identifier: Apache-2.0 */
/* Fisher potentials of the layers that may be trained. */
#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_inspect_sample(tt_session_t *session, const float *x) {
    const tt_model_t *model = session->model;
    const tt_status_t status = tt_note_loss(session, model->engine->inspect(session, x));
    tt_end_call(session);
    if (status != TT_OK) {
        return status;
    }
    session->inspected += 1u;
    if (!tt_all_finite((const float *)(const void *)(session->row_pool + model->choice->potentials_offset),
                       model->choice->channels)) {
        (void)tt_fisher_clear(session);
        return TT_ERROR_NOT_FINITE;
    }
    return TT_OK;
}

tt_status_t tt_fisher_accumulate(tt_session_t *session, const float *x, uint32_t label) {
    const tt_status_t status = tt_check_class(session, x, label);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    session->label = label;
    return tt_inspect_sample(session, x);
}

tt_status_t tt_fisher_clear(tt_session_t *session) {
    const tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    session->model->engine->clear_potentials(session);
    session->inspected = 0u;
    return TT_OK;
}
