/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of the runtime share; not for applications. */
#ifndef TT_SESSION_PARTS_H
#define TT_SESSION_PARTS_H

#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_SESSION_READY 0x74746c6eu
#define TT_IS_ALIGNED(pointer, bytes) (((uintptr_t)(pointer) & ((bytes)-1u)) == 0u)

/* TT_ERROR_NULL_POINTER or TT_ERROR_NOT_INITIALISED. session: may be NULL. */
TT_COLD tt_status_t tt_check_session(const tt_session_t *session);

/* The same, and what every pass asks: a sound session and an input that is as it should be. */
TT_COLD tt_status_t tt_check_x(const tt_session_t *session, const float *x);

/* The same, and a class that can be trained towards now. */
TT_COLD tt_status_t tt_check_class(const tt_session_t *session, const float *x, uint32_t label);

/* The same for a loss whose label is a vector. */
TT_COLD tt_status_t tt_check_target(const tt_session_t *session, const float *x, const float *target);

/* tt_train_step and tt_fisher_accumulate of a label that has been checked and stands in the session. */
TT_COLD tt_status_t tt_train(tt_session_t *session, const float *x, float *loss);
TT_COLD tt_status_t tt_inspect_sample(tt_session_t *session, const float *x);

/* tt_check_x and inference. output: out, finite, and fit to be compared where there are prototypes. */
TT_COLD tt_status_t tt_embed(tt_session_t *session, const float *x, const float **output);

/* After a pass with a loss: notes whether it was finite. Returns status. */
TT_COLD tt_status_t tt_note_loss(tt_session_t *session, tt_status_t status);

/* After rows have changed: TT_ERROR_NOT_FINITE, and a note, if one or a moment of it has become NaN or infinite. */
TT_COLD tt_status_t tt_note_rows(tt_session_t *session);

/* The fields that belong to a running call as they are between calls. */
TT_COLD void tt_end_call(tt_session_t *session);

/* The optimiser anew; rows as they are. */
TT_COLD void tt_restart_optimizer(tt_session_t *session);

/* The rows of the plan anew, and the optimiser. */
TT_COLD void tt_start_training(tt_session_t *session);

/* Everything as after tt_init. */
TT_COLD void tt_clear_training(tt_session_t *session);

/* The forward pass of generated kernels and the loss: TT_ERROR_NOT_FINITE where that is not finite. */
TT_COLD tt_status_t tt_forward_with_loss(tt_session_t *session, const float *x,
                                         void (*forward)(tt_session_t *session, const float *x));

/* After generated kernels have updated the rows. */
TT_COLD void tt_end_update(tt_session_t *session);

#ifdef __cplusplus
}
#endif

#endif /* TT_SESSION_PARTS_H */
