/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing what to train for a task, in slices: enroll the samples where there are prototypes, inspect each, select.
 * tt_inspect_begin, then tt_inspect_step until tt_inspect_done; between two steps tt_predict may be called, or
 * tt_inspect_cancel.
 */
#ifndef TT_INSPECTION_H
#define TT_INSPECTION_H

#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A choice that is going on. Owned by the caller; its fields are private. */
typedef struct {
    tt_session_t *session;
    tt_sample_t sample;
    void *context;
    const uint32_t *labels;
    tt_budget_t budget;
    uint32_t samples;
    uint32_t stage;
    uint32_t index; /* of the next sample of the stage */
    tt_status_t outcome;
} tt_inspector_t;

/*
 * inspector: out; while it is not done, neither it nor samples and labels may go away.
 * labels:    in, [samples].
 * budget:    in, copied; NULL for that of the conversion.
 * TT_ERROR_UNSUPPORTED: the plan is fixed; TT_ERROR_INVALID_ARGUMENT: no samples; TT_ERROR_LABEL_OUT_OF_RANGE.
 */
TT_COLD tt_status_t tt_inspect_begin(tt_inspector_t *inspector, tt_session_t *session, tt_sample_t sample,
                                     void *context, const uint32_t *labels, uint32_t samples,
                                     const tt_budget_t *budget);

/* At most one pass of one sample; the last step selects. After an error it is done, and nothing has been chosen. */
TT_COLD tt_status_t tt_inspect_step(tt_inspector_t *inspector);

/* Choose nothing: rows stay as they are, prototypes are those of the samples enrolled so far. */
TT_COLD void tt_inspect_cancel(tt_inspector_t *inspector);

TT_COLD bool tt_inspect_done(const tt_inspector_t *inspector);

/* What it ended with; TT_OK, too, where it was cancelled. */
TT_COLD tt_status_t tt_inspect_outcome(const tt_inspector_t *inspector);

/* Samples inspected so far. */
TT_COLD uint32_t tt_inspect_samples(const tt_inspector_t *inspector);

/* All of it in one call. */
TT_COLD tt_status_t tt_inspect(tt_session_t *session, tt_sample_t sample, void *context, const uint32_t *labels,
                               uint32_t samples, const tt_budget_t *budget);

#ifdef __cplusplus
}
#endif

#endif /* TT_INSPECTION_H */
