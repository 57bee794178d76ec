/* SPDX-License-Identifier: Apache-2.0 */
/* A train step that is followed by its update. */
#include "tt_engine.h"
#include "tt_session_parts.h"

tt_status_t tt_train_direct(tt_session_t *session, const float *x) {
    const tt_calls_t *calls = session->model->calls;
    session->scale = 1.0f;
    const tt_status_t status = tt_forward_with_loss(session, x, calls->train_forward);
    if (status == TT_OK) {
        if (session->model->optimizer->next_step != NULL) {
            session->model->optimizer->next_step(session->hyper);
        }
        calls->train_backward(session, x);
        tt_end_update(session);
    }
    return status;
}
