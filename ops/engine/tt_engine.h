/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of models whose kernels are generated C: functions that the tt_engine_t of a build is made of. Not for
 * applications. A build lists those that it needs; the others are not linked.
 */
#ifndef TT_ENGINE_H
#define TT_ENGINE_H

#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Parts of the arena and of the row pool, as generated passes name them. */
#define TT_ARENA(type, offset) ((type *)(void *)(session->arena + (offset)))
#define TT_POOL(type, offset) ((type *)(void *)(session->row_pool + (offset)))

/* Block `part` of what is kept for a layer that the board has chosen: rows, moments, gradients. */
#define TT_PART(layer, part)                                                                                           \
    (session->rows[layer].pool + (size_t)(part)*session->rows[layer].trained * session->rows[layer].stride)

/* Between two kernels of a pass. */
#ifdef TT_PULSES
#define TT_PULSE                                                                                                       \
    do {                                                                                                               \
        if (session->pulse != NULL) {                                                                                  \
            session->pulse(session->pulse_context);                                                                    \
        }                                                                                                              \
    } while (0)
#else
#define TT_PULSE (void)0
#endif

/* open */
TT_COLD tt_status_t tt_open_fixed(tt_session_t *session, size_t arena_bytes);
TT_COLD tt_status_t tt_open_fixed_int8(tt_session_t *session, size_t arena_bytes);
TT_COLD tt_status_t tt_open_chosen(tt_session_t *session, size_t arena_bytes);

/* start_rows */
TT_COLD void tt_start_fixed(tt_session_t *session);
TT_COLD void tt_start_fixed_int8(tt_session_t *session);
TT_COLD void tt_start_chosen(tt_session_t *session);
TT_COLD void tt_start_chosen_int8(tt_session_t *session);

/* rows_changed: the forward pass of an int8 build reads trained rows as int8. */
TT_COLD void tt_quantize_rows(tt_session_t *session);

/* infer */
TT_COLD tt_status_t tt_infer_generated(tt_session_t *session, const float *x, const float **output);

/* train: the update is part of the gradient kernels; follows each of them; or waits until the batch is full. */
TT_COLD tt_status_t tt_train_fused(tt_session_t *session, const float *x);
TT_COLD tt_status_t tt_train_direct(tt_session_t *session, const float *x);
TT_COLD tt_status_t tt_train_adding(tt_session_t *session, const float *x);

/* add_loss, add_seed, update, clear_gradients */
TT_COLD tt_status_t tt_add_loss_generated(tt_session_t *session, const float *x, float *scratch);
TT_COLD tt_status_t tt_add_seed_generated(tt_session_t *session, const float *x, const float *output_gradient);
TT_COLD tt_status_t tt_update_generated(tt_session_t *session);
TT_COLD void tt_clear_fixed_gradients(tt_session_t *session);
TT_COLD void tt_clear_chosen_gradients(tt_session_t *session);

/* inspect, clear_potentials */
TT_COLD tt_status_t tt_inspect_generated(tt_session_t *session, const float *x);
TT_COLD void tt_clear_potentials(tt_session_t *session);

#ifdef __cplusplus
}
#endif

#endif /* TT_ENGINE_H */
