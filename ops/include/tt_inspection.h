/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing what to train for a task, in slices: enroll the samples where there are prototypes, inspect each, select.
 * tt_inspect_begin, then tt_inspect_step until tt_inspect_done; between two steps tt_predict may be called, or
 * tt_inspect_cancel. Rows are started from the base by the last step, and prototypes are those of the rows before: to
 * go on with, tt_adapt enrolls anew.
 */
#ifndef TT_INSPECTION_H
#define TT_INSPECTION_H

#include "tt_enrolment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A choice that is going on. Owned by the caller; its fields are private. */
typedef struct {
    tt_session_t *session;
    tt_support_t support;
    tt_enrolment_t enrolment;
    tt_budget_t budget;
    uint32_t stage;
    uint32_t index; /* of the next sample to inspect */
    tt_status_t outcome;
} tt_inspector_t;

/*
 * Begin: everything is checked, Fisher potentials are forgotten, nothing is computed.
 * inspector: out; while it is not done, neither it, the support set nor the workspace may go away, and nothing but
 *            tt_predict, tt_embedding, tt_state_bytes and tt_save may be called on the session.
 * budget:    in, copied; NULL for that of the conversion.
 * workspace: as of tt_enrolment_begin; NULL where the model has no prototypes.
 * TT_ERROR_UNSUPPORTED: the plan is fixed; the errors of tt_enrolment_begin.
 */
TT_COLD tt_status_t tt_inspect_begin(tt_inspector_t *inspector, tt_session_t *session, const tt_support_t *support,
                                     const tt_budget_t *budget, void *workspace, size_t workspace_bytes);

/* At most one pass of one sample; the last step selects. After an error it is done, and nothing has been chosen. */
TT_COLD tt_status_t tt_inspect_step(tt_inspector_t *inspector);

/* Choose nothing: rows stay as they are, and prototypes are those that tt_predict compares with now. */
TT_COLD void tt_inspect_cancel(tt_inspector_t *inspector);

TT_COLD bool tt_inspect_done(const tt_inspector_t *inspector);

/* What it ended with; TT_OK, too, where it was cancelled. */
TT_COLD tt_status_t tt_inspect_outcome(const tt_inspector_t *inspector);

/* Samples inspected so far. */
TT_COLD uint32_t tt_inspect_samples(const tt_inspector_t *inspector);

/* All of it in one call. */
TT_COLD tt_status_t tt_inspect(tt_session_t *session, const tt_support_t *support, const tt_budget_t *budget,
                               void *workspace, size_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif /* TT_INSPECTION_H */
