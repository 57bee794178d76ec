/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that is trained in place: what applications call. The header of a build, tt_model.h or the name that it was
 * converted with, includes this and declares its tt_model_t; any number of them may live in one firmware and share
 * these functions.
 *
 * Memory is the caller's: a session, an arena that keeps nothing between calls of a model that the C engine runs and
 * may be used for other things then, and a row pool that holds what was learned. The input is the caller's too and is
 * read during the call only. Nothing is allocated; no call recurses. A session may be used by one thread at a time;
 * several sessions are independent of each other.
 *
 * x: float32, [input_elements] (height x width x channels, row by row), 8-byte aligned, finite, scaled as the model was
 * trained.
 *
 * A call that returns an error has changed nothing that a later result depends on, with these exceptions, which are told
 * where they apply: rows that have become NaN or infinite, or a moment of the optimiser beside them, stay so
 * (TT_ERROR_NOT_FINITE from then on, until tt_reset, tt_load or a new choice starts them anew); after a loss that was not
 * finite tt_save refuses until a loss is; Fisher potentials that run over are forgotten; and what consists of many passes
 * (tt_adapt, tt_inspect) keeps what those before the error have done. The arena is scratch.
 */
#ifndef TT_SESSION_H
#define TT_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "tt_int8_rows.h"
#include "tt_model_type.h"
#include "tt_prototype.h"
#include "tt_rows.h"
#include "tt_select.h"
#include "tt_status.h"
#include "tt_storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives sample index of a support set, valid until the next call; NULL ends what asks for it with an error. */
typedef const float *(*tt_sample_t)(void *context, uint32_t index);

/* How training has gone since rows were started from the base or loaded. */
typedef enum {
    TT_SOUND = 0,
    TT_LOSS_NOT_FINITE = 1, /* the latest loss was not finite: nothing is saved */
    TT_ROWS_NOT_FINITE = 2  /* a trained row, or a moment of it, is NaN or infinite: nothing but starting anew helps */
} tt_soundness_t;

/* Owned by the caller; its fields are private. */
struct tt_session {
    const tt_model_t *model;
    uint32_t state;
    uint32_t soundness; /* a tt_soundness_t */
    uint8_t *arena;
    uint8_t *row_pool;
    tt_rows_t *rows;           /* [layers], in the row pool, as all arrays below */
    tt_int8_rows_t *int8_rows; /* [layers]; NULL where the forward pass is float32 */
    float *hyper;              /* [optimizer->hyper_elements]: the learning rate first */
    float *scores;             /* [classes]: scratch of losses that compare with prototypes, 0 between calls; or NULL */
    uint16_t *counts;          /* [layers]: channels chosen on the board; NULL where the plan is fixed */
    tt_prototypes_t prototypes;
    uint32_t samples; /* that gradients have been added up of */
    uint32_t steps;   /* updates that the rows have seen */
    uint32_t inspected;
    uint64_t chosen; /* bit i: candidate i is trained */
    /* Of the call that is running; 0 between calls. */
    float scale;
    float loss;
    uint32_t label;
    const float *target;
    void *engine[2];  /* what the engine keeps */
    tt_pulse_t pulse; /* see tt_set_pulse */
    void *pulse_context;
};

/*
 * Prepare a session: base weights, nothing learned.
 * model:    of the build, see its header.
 * arena:    at least arena_bytes >= model->arena_bytes, 16-byte aligned; it must stay valid while the session is used,
 *           and belongs to the session alone where TensorFlow Lite Micro runs the model.
 * row_pool: at least row_pool_bytes >= model->row_pool_bytes, 16-byte aligned; likewise.
 * Returns TT_ERROR_NULL_POINTER, TT_ERROR_MISALIGNED, TT_ERROR_ARENA_TOO_SMALL (the interpreter's log says more, where
 * there is one) or TT_ERROR_ROW_POOL_TOO_SMALL; the session is unusable then.
 */
TT_COLD tt_status_t tt_init(tt_session_t *session, const tt_model_t *model, void *arena, size_t arena_bytes,
                            void *row_pool, size_t row_pool_bytes);

/* Bytes of the arena that are in use; 0 for a session that is not initialised. */
TT_COLD size_t tt_arena_used(const tt_session_t *session);

/* Forget everything learned: base rows, optimiser state, learning rate, prototypes, choice. */
TT_COLD tt_status_t tt_reset(tt_session_t *session);

/* learning_rate: finite, >= 0 (TT_ERROR_INVALID_ARGUMENT otherwise); holds until tt_reset. */
TT_COLD tt_status_t tt_set_learning_rate(tt_session_t *session, float learning_rate);

/*
 * Have pulse called between two kernels of every pass, so that a watchdog is fed and a thread can yield. NULL: no more.
 * It must not call anything on this session. In sources compiled without TT_PULSES nothing is called.
 */
TT_COLD tt_status_t tt_set_pulse(tt_session_t *session, tt_pulse_t pulse, void *context);

/*
 * scores: out, [classes]: what the loss makes of the output of the model for x. With prototypes temperature times the
 * cosine of the embedding to the mean of each enrolled class, -FLT_MAX for a class without samples
 * (TT_ERROR_NOT_ENROLLED when no class has any); else the output itself.
 */
TT_COLD tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores);

/* embedding: out, [output_elements]: the output of the network for x. TT_ERROR_NOT_FINITE, too, where the build has
 * prototypes and the norm of the embedding is not finite: there is no comparing it. */
TT_COLD tt_status_t tt_embedding(tt_session_t *session, const float *x, float *embedding);

/*
 * One sample: forward pass, gradient of the loss, and with every batch_size-th sample an update of the chosen rows by
 * the mean gradient.
 * label: below classes; with prototypes its class must have been enrolled, and the embedding is pulled towards its mean.
 * loss:  out, of this sample before the update; may be NULL.
 * TT_ERROR_LABEL_OUT_OF_RANGE, TT_ERROR_NOT_ENROLLED, TT_ERROR_UNSUPPORTED (the loss takes no class), or
 * TT_ERROR_NOT_FINITE (x, or the loss): no row has been changed. TT_ERROR_NOT_FINITE with soundness
 * TT_ROWS_NOT_FINITE: the update has made a row NaN or infinite.
 */
TT_COLD tt_status_t tt_train_step(tt_session_t *session, const float *x, uint32_t label, float *loss);

/* The same for losses whose label is a vector. target: in, [label_elements], finite. */
TT_COLD tt_status_t tt_train_step_to(tt_session_t *session, const float *x, const float *target, float *loss);

/* Add the embedding of x to the prototype of a class. TT_ERROR_UNSUPPORTED: the build has no prototypes.
 * TT_ERROR_NOT_FINITE: the embedding, the sum with it, or the norm of either. */
TT_COLD tt_status_t tt_enroll(tt_session_t *session, const float *x, uint32_t label);

/* Forget the enrolled samples and keep what was learned: enrol again after training, as embeddings have moved. */
TT_COLD tt_status_t tt_forget_prototypes(tt_session_t *session);

/*
 * One sample's share of a gradient: forward, then backward from the given gradient of the output; no update. It is added
 * to what tt_accumulate, and tt_train_step where a batch is not full, have left. TT_ERROR_UNSUPPORTED: the build keeps no
 * gradients, its loss takes a vector, or TensorFlow Lite Micro runs it and it has no prototypes. TT_ERROR_NOT_FINITE: x,
 * output_gradient, or what a loss is made of.
 */
TT_COLD tt_status_t tt_accumulate(tt_session_t *session, const float *x, const float *output_gradient);

/* Update the chosen rows by the accumulated gradient, and clear it. */
TT_COLD tt_status_t tt_update(tt_session_t *session);

/*
 * The board chooses. Enroll the support set where there are prototypes, call tt_fisher_accumulate for each of its
 * samples, then tt_select; the steps after that train what was chosen, from the base weights. Layers that were not
 * chosen cost nothing. Builds with a fixed plan answer TT_ERROR_UNSUPPORTED.
 */

/*
 * Add the Fisher potential of one sample; label as for tt_train_step. Potentials that run over are forgotten, all of
 * them, with TT_ERROR_NOT_FINITE.
 */
TT_COLD tt_status_t tt_fisher_accumulate(tt_session_t *session, const float *x, uint32_t label);

/* The same for losses whose label is a vector. */
TT_COLD tt_status_t tt_fisher_accumulate_to(tt_session_t *session, const float *x, const float *target);

/* Forget the potentials. */
TT_COLD tt_status_t tt_fisher_clear(tt_session_t *session);

/*
 * Choose layers and channels under a budget by the potentials so far, and start their rows from the base weights.
 * TT_ERROR_BUDGET_TOO_SMALL: no single channel fits, and the choice stays as it was.
 */
TT_COLD tt_status_t tt_select(tt_session_t *session, const tt_budget_t *budget);

/*
 * Train a given plan. counts: [candidates], channels of each candidate; channels: room for all channels of each
 * candidate one after the other, the chosen ones first in each room, ascending.
 * TT_ERROR_INVALID_ARGUMENT, or TT_ERROR_ROW_POOL_TOO_SMALL when the rows do not fit: the choice stays as it was.
 */
TT_COLD tt_status_t tt_choose(tt_session_t *session, const uint16_t *counts, const uint16_t *channels);

/* The cost of any plan over the candidates; NULL where the plan is fixed. */
TT_COLD const tt_cost_table_t *tt_cost_table(const tt_session_t *session);

/* Bytes of the state that tt_save would write now; 0 for a session that is not initialised. */
TT_COLD size_t tt_state_bytes(const tt_session_t *session);

/*
 * Save what was learned (plan, rows, prototypes, number of updates) so that it outlives a cut of power: whenever the
 * power goes, tt_load finds this state or the one before. storage: two slots, see tt_storage.h.
 * TT_OK: it has been read back, and is what tt_load finds. TT_ERROR_STORAGE_TOO_SMALL; TT_ERROR_NOT_FINITE: training has
 * diverged; TT_ERROR_STORAGE: the state before can still be loaded.
 */
TT_COLD tt_status_t tt_save(tt_session_t *session, const tt_storage_t *storage);

/*
 * Take up the newest complete state of this model and plan again. Scores are those of the moment it was saved, to the
 * bit. The optimiser starts anew, the learning rate stays, Fisher potentials are forgotten.
 * TT_ERROR_NO_STATE, TT_ERROR_OTHER_STATE, TT_ERROR_NOT_FINITE (a number of the state): nothing has changed.
 * TT_ERROR_STORAGE: nothing has changed, or, where what was read for the second time was not what had been found, the
 * session is as tt_reset leaves it.
 */
TT_COLD tt_status_t tt_load(tt_session_t *session, const tt_storage_t *storage);

#ifdef __cplusplus
}
#endif

#endif /* TT_SESSION_H */
