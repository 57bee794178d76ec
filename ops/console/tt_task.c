/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_task.h"

#if TT_MODEL_HAS_PROTOTYPES
tt_status_t tt_task_enroll(tt_session_t *session, tt_task_sample_t sample, void *context, const uint32_t *labels,
                           uint32_t samples) {
    tt_status_t status = tt_forget_prototypes(session);
    for (uint32_t i = 0; i < samples && status == TT_OK; ++i) {
        status = tt_enroll(session, sample(context, i), labels[i]);
    }
    return status;
}
#endif

#if TT_MODEL_DYNAMIC
tt_status_t tt_task_choose(tt_session_t *session, tt_task_sample_t sample, void *context, const uint32_t *labels,
                           uint32_t samples) {
    static const tt_budget_t BUDGET = TT_MODEL_BUDGET;
    tt_status_t status = tt_fisher_clear(session);
#if TT_MODEL_HAS_PROTOTYPES
    if (status == TT_OK) {
        status = tt_task_enroll(session, sample, context, labels, samples);
    }
#endif
    for (uint32_t i = 0; i < samples && status == TT_OK; ++i) {
        status = tt_fisher_accumulate(session, sample(context, i), labels[i]);
    }
    return status == TT_OK ? tt_select(session, &BUDGET) : status;
}
#endif

#if TT_MODEL_ADAPTABLE
tt_augment_t tt_task_augment(bool flip) {
    const float first = TT_MODEL_INPUT_SHIFT;
    const float last = 255.0f * TT_MODEL_INPUT_SCALE + TT_MODEL_INPUT_SHIFT;
    tt_augment_t augment = TT_AUGMENT_DEFAULTS;
    augment.flip = flip;
    augment.low = first < last ? first : last;
    augment.high = first < last ? last : first;
    return augment;
}
#endif
