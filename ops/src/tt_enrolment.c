/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_enrolment.h"

#include <string.h>

#include "tt_session_parts.h"

size_t tt_enrolment_bytes(const tt_session_t *session) {
    if (tt_check_session(session) != TT_OK || session->model->prototypes == NULL) {
        return 0u;
    }
    return TT_ENROLMENT_BYTES(session->model->classes, session->model->output_elements);
}

tt_status_t tt_check_support(const tt_session_t *session, const tt_support_t *support) {
    if (support == NULL || support->sample == NULL || support->labels == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (support->samples == 0u) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    for (uint32_t i = 0; i < support->samples; ++i) {
        if (support->labels[i] >= session->model->classes) {
            return TT_ERROR_LABEL_OUT_OF_RANGE;
        }
    }
    return TT_OK;
}

tt_status_t tt_enrolment_begin(tt_enrolment_t *enrolment, tt_session_t *session, const tt_support_t *support,
                               void *workspace, size_t workspace_bytes) {
    tt_status_t status = enrolment == NULL ? TT_ERROR_NULL_POINTER : tt_check_session(session);
    if (status == TT_OK && session->model->prototypes == NULL) {
        status = TT_ERROR_UNSUPPORTED;
    }
    if (status == TT_OK) {
        status = tt_check_support(session, support);
    }
    if (status == TT_OK && workspace == NULL) {
        status = TT_ERROR_NULL_POINTER;
    }
    if (status == TT_OK && !TT_IS_ALIGNED(workspace, 4u)) {
        status = TT_ERROR_MISALIGNED;
    }
    if (status == TT_OK && workspace_bytes < tt_enrolment_bytes(session)) {
        status = TT_ERROR_ARENA_TOO_SMALL;
    }
    if (status != TT_OK) {
        return status;
    }
    const tt_prototypes_t *prototypes = &session->prototypes;
    enrolment->session = session;
    enrolment->support = *support;
    enrolment->index = 0u;
    enrolment->fresh = *prototypes;
    enrolment->fresh.sums = workspace;
    enrolment->fresh.counts =
        (uint32_t *)(void *)(enrolment->fresh.sums + (size_t)prototypes->classes * prototypes->elements);
    return tt_prototypes_reset(&enrolment->fresh);
}

static void publish(const tt_enrolment_t *enrolment) {
    const tt_prototypes_t *prototypes = &enrolment->session->prototypes;
    memcpy(prototypes->sums, enrolment->fresh.sums, (size_t)prototypes->classes * prototypes->elements * sizeof(float));
    memcpy(prototypes->counts, enrolment->fresh.counts, prototypes->classes * sizeof(uint32_t));
}

tt_status_t tt_enrolment_step(tt_enrolment_t *enrolment) {
    const float *output;
    if (enrolment == NULL || enrolment->session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (tt_enrolment_done(enrolment)) {
        return TT_OK;
    }
    tt_session_t *session = enrolment->session;
    const tt_support_t *support = &enrolment->support;
    const float *x = support->sample(support->context, enrolment->index);
    tt_status_t status = tt_check_x(session, x);
    if (status == TT_OK) {
        status = session->model->engine->infer(session, x, &output);
    }
    if (status == TT_OK) {
        status = tt_prototypes_enroll(&enrolment->fresh, output, support->labels[enrolment->index]);
    }
    if (status == TT_OK) {
        enrolment->index += 1u;
        if (tt_enrolment_done(enrolment)) {
            publish(enrolment);
        }
    }
    return status;
}

bool tt_enrolment_done(const tt_enrolment_t *enrolment) {
    return enrolment->index == enrolment->support.samples;
}
