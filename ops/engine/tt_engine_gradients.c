/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of generated kernels that add gradients up. */
#include <string.h>

#include "tt_engine.h"
#include "tt_session_parts.h"

static tt_status_t add(tt_session_t *session, const float *x) {
    const tt_calls_t *calls = session->model->calls;
    const tt_status_t status = tt_forward_with_loss(session, x, calls->train_forward);
    if (status == TT_OK) {
        calls->train_backward(session, x);
    }
    return status;
}

tt_status_t tt_train_adding(tt_session_t *session, const float *x) {
    const tt_model_t *model = session->model;
    session->scale = 1.0f / (float)model->batch_size;
    tt_status_t status = add(session, x);
    if (status == TT_OK) {
        session->samples += 1u;
        if (session->samples == model->batch_size) {
            status = tt_update_generated(session);
        }
    }
    return status;
}

tt_status_t tt_add_loss_generated(tt_session_t *session, const float *x, float *scratch) {
    (void)scratch;
    return add(session, x);
}

/* The forward pass forms a loss: of any class that has one, by which an output that is of no use is told. */
static bool find_class(tt_session_t *session) {
    const tt_model_t *model = session->model;
    while (session->label < model->classes && model->loss->check != NULL &&
           model->loss->check(session, session->label) != TT_OK) {
        session->label += 1u;
    }
    return session->label < model->classes;
}

tt_status_t tt_add_seed_generated(tt_session_t *session, const float *x, const float *output_gradient) {
    const tt_calls_t *calls = session->model->calls;
    const bool told = find_class(session);
    session->scale = 1.0f;
    if (!told) {
        session->label = 0u;
    }
    const tt_status_t status = tt_forward_with_loss(session, x, calls->train_forward);
    if (told && status != TT_OK) {
        return status;
    }
    memcpy(calls->loss_gradient(session), output_gradient, session->model->output_elements * sizeof(float));
    calls->train_backward(session, x);
    return TT_OK;
}

tt_status_t tt_update_generated(tt_session_t *session) {
    const tt_model_t *model = session->model;
    if (model->optimizer->next_step != NULL) {
        model->optimizer->next_step(session->hyper);
    }
    model->calls->apply_update(session);
    tt_end_update(session);
    model->engine->clear_gradients(session);
    return TT_OK;
}
