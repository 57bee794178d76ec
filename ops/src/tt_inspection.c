/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_inspection.h"

#include "tt_session_parts.h"

enum {
    ENROL,
    INSPECT,
    SELECT,
    DONE
};

static void go_to(tt_inspector_t *inspector, uint32_t stage) {
    inspector->stage = stage;
    inspector->index = 0u;
}

static tt_status_t begin(tt_inspector_t *inspector) {
    tt_status_t status = tt_fisher_clear(inspector->session);
    if (status != TT_OK) {
        return status;
    }
    if (inspector->session->model->prototypes == NULL) {
        go_to(inspector, INSPECT);
        return TT_OK;
    }
    go_to(inspector, ENROL);
    return tt_prototypes_reset(&inspector->session->prototypes);
}

tt_status_t tt_inspect_begin(tt_inspector_t *inspector, tt_session_t *session, tt_sample_t sample, void *context,
                             const uint32_t *labels, uint32_t samples, const tt_budget_t *budget) {
    if (inspector == NULL || sample == NULL || labels == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    inspector->session = NULL;
    inspector->stage = DONE;
    const tt_status_t status = tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (samples == 0u) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    for (uint32_t i = 0; i < samples; ++i) {
        if (labels[i] >= session->model->classes) {
            return TT_ERROR_LABEL_OUT_OF_RANGE;
        }
    }
    inspector->session = session;
    inspector->sample = sample;
    inspector->context = context;
    inspector->labels = labels;
    inspector->samples = samples;
    inspector->budget = budget == NULL ? session->model->choice->budget : *budget;
    inspector->outcome = TT_OK;
    return begin(inspector);
}

static tt_status_t run_stage(tt_inspector_t *inspector) {
    tt_session_t *session = inspector->session;
    if (inspector->stage == DONE) {
        return TT_OK;
    }
    if (inspector->stage == SELECT) {
        go_to(inspector, DONE);
        return tt_select(session, &inspector->budget);
    }
    const float *x = inspector->sample(inspector->context, inspector->index);
    const uint32_t label = inspector->labels[inspector->index];
    const bool enrolling = inspector->stage == ENROL;
    const tt_status_t status = enrolling ? tt_enroll(session, x, label) : tt_fisher_accumulate(session, x, label);
    inspector->index += 1u;
    if (inspector->index == inspector->samples) {
        go_to(inspector, enrolling ? INSPECT : SELECT);
    }
    return status;
}

tt_status_t tt_inspect_step(tt_inspector_t *inspector) {
    if (inspector == NULL || inspector->session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    const tt_status_t status = run_stage(inspector);
    if (status != TT_OK) {
        inspector->outcome = status;
        tt_inspect_cancel(inspector);
    }
    return status;
}

void tt_inspect_cancel(tt_inspector_t *inspector) {
    if (inspector->stage != DONE) {
        (void)tt_fisher_clear(inspector->session);
        go_to(inspector, DONE);
    }
}

bool tt_inspect_done(const tt_inspector_t *inspector) {
    return inspector->stage == DONE;
}

tt_status_t tt_inspect_outcome(const tt_inspector_t *inspector) {
    return inspector->outcome;
}

uint32_t tt_inspect_samples(const tt_inspector_t *inspector) {
    if (inspector->stage == ENROL) {
        return 0u;
    }
    return inspector->stage == INSPECT ? inspector->index : inspector->samples;
}

tt_status_t tt_inspect(tt_session_t *session, tt_sample_t sample, void *context, const uint32_t *labels,
                       uint32_t samples, const tt_budget_t *budget) {
    tt_inspector_t inspector;
    const tt_status_t status = tt_inspect_begin(&inspector, session, sample, context, labels, samples, budget);
    if (status != TT_OK) {
        return status;
    }
    while (!tt_inspect_done(&inspector)) {
        (void)tt_inspect_step(&inspector);
    }
    return tt_inspect_outcome(&inspector);
}
