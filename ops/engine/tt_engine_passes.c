/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of generated kernels: inference, the loss, and a train step whose update is part of the gradients. */
#include <math.h>

#include "tt_engine.h"
#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_infer_generated(tt_session_t *session, const float *x, const float **output) {
    *output = session->model->calls->predict(session, x);
    return TT_OK;
}

/* The forward pass and the loss. NaN stays where the loss function refuses its input. */
tt_status_t tt_forward_with_loss(tt_session_t *session, const float *x,
                                 void (*forward)(tt_session_t *session, const float *x)) {
    session->loss = NAN;
    forward(session, x);
    return tt_all_finite(&session->loss, 1u) ? TT_OK : TT_ERROR_NOT_FINITE;
}

void tt_end_update(tt_session_t *session) {
    if (session->model->engine->rows_changed != NULL) {
        session->model->engine->rows_changed(session);
    }
    session->steps += 1u;
}

tt_status_t tt_train_fused(tt_session_t *session, const float *x) {
    const tt_calls_t *calls = session->model->calls;
    session->scale = -session->hyper[0];
    const tt_status_t status = tt_forward_with_loss(session, x, calls->train_forward);
    if (status == TT_OK) {
        calls->train_backward(session, x);
        tt_end_update(session);
    }
    return status;
}
