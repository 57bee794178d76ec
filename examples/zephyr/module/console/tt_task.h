/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before the training on a task: for the console, and for applications that hold their samples themselves.
 * Compiled with the tt_model.h of a build.
 */
#ifndef TT_TASK_H
#define TT_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives sample index, as the model takes it, valid until the next call; NULL ends what asks for it with an error. */
typedef const float *(*tt_task_sample_t)(void *context, uint32_t index);

#if TT_MODEL_HAS_PROTOTYPES
/* Prototypes of these samples alone, each asked for once. labels: in, [samples]. The errors of tt_enroll. */
tt_status_t tt_task_enroll(tt_session_t *session, tt_task_sample_t sample, void *context, const uint32_t *labels,
                           uint32_t samples);
#endif

#if TT_MODEL_DYNAMIC
/*
 * Choose what to train for these samples under TT_MODEL_BUDGET: enroll them where there are prototypes, inspect each,
 * select; every sample is asked for in the one and in the other. What was trained before is forgotten.
 * labels: in, [samples]. The errors of tt_task_enroll, tt_fisher_accumulate and tt_select.
 */
tt_status_t tt_task_choose(tt_session_t *session, tt_task_sample_t sample, void *context, const uint32_t *labels,
                           uint32_t samples);
#endif

#if TT_MODEL_ADAPTABLE
/* How pseudo-queries of pixels differ from the samples: by default, within what 0 to 255 are scaled to. */
tt_augment_t tt_task_augment(bool flip);
#endif

#ifdef __cplusplus
}
#endif

#endif /* TT_TASK_H */
