/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session_parts.h"

tt_status_t tt_enroll(tt_session_t *session, const float *x, uint32_t label) {
    const float *output;
    tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->prototypes == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (label >= session->model->classes) {
        return TT_ERROR_LABEL_OUT_OF_RANGE;
    }
    status = tt_embed(session, x, &output);
    return status == TT_OK ? tt_prototypes_enroll(&session->prototypes, output, label) : status;
}

tt_status_t tt_forget_prototypes(tt_session_t *session) {
    const tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    return session->model->prototypes == NULL ? TT_ERROR_UNSUPPORTED : tt_prototypes_reset(&session->prototypes);
}
