/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_inspection.h"

#include "tt_session_parts.h"

enum {
    ENROL,
    INSPECT,
    SELECT,
    DONE
};

static tt_status_t begin(tt_inspector_t *inspector, void *workspace, size_t workspace_bytes) {
    tt_session_t *session = inspector->session;
    const bool enrols = session->model->prototypes != NULL;
    const tt_status_t status =
        enrols ? tt_enrolment_begin(&inspector->enrolment, session, &inspector->support, workspace, workspace_bytes)
               : tt_check_support(session, &inspector->support);
    if (status == TT_OK) {
        inspector->stage = enrols ? ENROL : INSPECT;
        return tt_fisher_clear(session);
    }
    return status;
}

tt_status_t tt_inspect_begin(tt_inspector_t *inspector, tt_session_t *session, const tt_support_t *support,
                             const tt_budget_t *budget, void *workspace, size_t workspace_bytes) {
    if (inspector == NULL || support == NULL) {
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
    inspector->session = session;
    inspector->support = *support;
    inspector->budget = budget == NULL ? session->model->choice->budget : *budget;
    inspector->index = 0u;
    inspector->outcome = TT_OK;
    return begin(inspector, workspace, workspace_bytes);
}

static tt_status_t enrol(tt_inspector_t *inspector) {
    const tt_status_t status = tt_enrolment_step(&inspector->enrolment);
    if (status == TT_OK && tt_enrolment_done(&inspector->enrolment)) {
        inspector->stage = INSPECT;
    }
    return status;
}

static tt_status_t inspect(tt_inspector_t *inspector) {
    const tt_support_t *support = &inspector->support;
    const float *x = support->sample(support->context, inspector->index);
    const tt_status_t status = tt_fisher_accumulate(inspector->session, x, support->labels[inspector->index]);
    if (status == TT_OK) {
        inspector->index += 1u;
        if (inspector->index == support->samples) {
            inspector->stage = SELECT;
        }
    }
    return status;
}

static tt_status_t run_stage(tt_inspector_t *inspector) {
    switch (inspector->stage) {
    case ENROL:
        return enrol(inspector);
    case INSPECT:
        return inspect(inspector);
    case SELECT:
        inspector->stage = DONE;
        return tt_select(inspector->session, &inspector->budget);
    default:
        return TT_OK;
    }
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
        inspector->stage = DONE;
    }
}

bool tt_inspect_done(const tt_inspector_t *inspector) {
    return inspector->stage == DONE;
}

tt_status_t tt_inspect_outcome(const tt_inspector_t *inspector) {
    return inspector->outcome;
}

uint32_t tt_inspect_samples(const tt_inspector_t *inspector) {
    return inspector->index;
}

tt_status_t tt_inspect(tt_session_t *session, const tt_support_t *support, const tt_budget_t *budget, void *workspace,
                       size_t workspace_bytes) {
    tt_inspector_t inspector;
    const tt_status_t status = tt_inspect_begin(&inspector, session, support, budget, workspace, workspace_bytes);
    if (status != TT_OK) {
        return status;
    }
    while (!tt_inspect_done(&inspector)) {
        (void)tt_inspect_step(&inspector);
    }
    return tt_inspect_outcome(&inspector);
}
