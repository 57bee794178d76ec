/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adaptation of a model with prototypes to a task, in slices: the exact gradient of an episode with one sample in memory
 * at a time. A firmware that has other things to do calls tt_adapt_begin, and tt_adapt_step until tt_adapt_done; between
 * two steps it may call tt_predict, or tt_adapt_cancel. tt_adapt does all of it in one call, with the same result to
 * the bit.
 *
 * Prototypes change at once, not sample by sample: a tt_predict between two steps compares with those of the support set
 * as the latest pass over all of it has embedded it. An update of the rows makes them old until the next such pass is
 * through; the last thing of every adaptation, cancelled ones and those that end with an error too, is a pass that makes
 * them those of the rows as they are.
 */
#ifndef TT_ADAPT_H
#define TT_ADAPT_H

#include "tt_augment.h"
#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A task to adapt to. */
typedef struct {
    tt_sample_t sample;
    void *context;
    const uint32_t *labels; /* [samples] */
    uint32_t samples;
    uint32_t iterations;
    uint32_t seed;  /* of the pseudo-queries */
    uint32_t exact; /* 1: gradient through the prototypes too; 0: prototypes held constant in an iteration */
    uint32_t paced; /* 1: the learning rate goes by the tightness of the support set, see tt_episode.h; 0: as it is */
    tt_augment_t augment; /* how pseudo-queries differ from the samples */
} tt_adaptation_t;

/* How pseudo-queries of pixels differ from the samples by default: within what 0 to 255 are scaled to. */
TT_COLD tt_augment_t tt_default_augment(const tt_model_t *model, bool flip);

/* An adaptation that is going on. Owned by the caller; its fields are private. */
typedef struct {
    tt_session_t *session;
    tt_adaptation_t task;
    float *image;      /* [input_elements] */
    float *embeddings; /* [2 samples][output_elements] */
    float *scratch;    /* [tt_episode_scratch_floats] */
    uint32_t *labels;  /* [2 samples] */
    float *losses;     /* [iterations] */
    uint32_t stage;
    uint32_t iteration;
    uint32_t index; /* of the next sample of the stage */
    uint32_t passes;
    float rate; /* of the session before */
    tt_status_t outcome;
} tt_adapter_t;

/* Bytes of workspace that an adaptation needs for that many samples; of a model with prototypes. */
#define TT_ADAPT_WORKSPACE_BYTES(samples, input_elements, classes, elements)                                           \
    (4u * (2u * (size_t)(samples) * ((elements) + 1u) + (classes) * ((elements) + 2u) + (elements) + (input_elements)))

/* The same for a session that is initialised; 0 for one that is not, or whose build cannot adapt. */
TT_COLD size_t tt_adapt_workspace_bytes(const tt_session_t *session, uint32_t samples);

/*
 * Begin: everything is checked, nothing computed. Gradients that tt_accumulate or an unfinished batch have left are
 * dropped once the support set has been gone over; an error before leaves everything as it was.
 * adapter:   out; while it is not done, neither it, the task's sample and labels, nor the workspace may go away, and
 *            nothing but tt_predict, tt_embedding, tt_state_bytes and tt_save may be called on the session.
 * workspace: 16-byte aligned, at least tt_adapt_workspace_bytes(session, samples) = workspace_bytes.
 * losses:    out, [iterations], filled in as iterations end.
 * TT_ERROR_UNSUPPORTED: no prototypes, or no gradients that are added up; TT_ERROR_INVALID_ARGUMENT: no samples;
 * TT_ERROR_LABEL_OUT_OF_RANGE; TT_ERROR_ARENA_TOO_SMALL: the workspace.
 */
TT_COLD tt_status_t tt_adapt_begin(tt_adapter_t *adapter, tt_session_t *session, const tt_adaptation_t *task,
                                   void *workspace, size_t workspace_bytes, float *losses);

/*
 * At most one pass of one sample. An error is that of the step; go on until tt_adapt_done all the same, so that the
 * prototypes come to be those of the rows.
 */
TT_COLD tt_status_t tt_adapt_step(tt_adapter_t *adapter);

/* Skip what is left of the training: the support set is enrolled and the adaptation is done, at most samples + 1 steps
 * on. */
TT_COLD void tt_adapt_cancel(tt_adapter_t *adapter);

TT_COLD bool tt_adapt_done(const tt_adapter_t *adapter);

/* What it ended with: TT_OK, too, where it was cancelled. adapter: done. */
TT_COLD tt_status_t tt_adapt_outcome(const tt_adapter_t *adapter);

/* Iterations whose update has been made, and passes through the network of those that the whole adaptation makes. */
TT_COLD uint32_t tt_adapt_iterations(const tt_adapter_t *adapter);
TT_COLD void tt_adapt_progress(const tt_adapter_t *adapter, uint32_t *passes, uint32_t *total);

/* Enroll the support set, train the chosen rows on augmented copies of it, and enroll it again. */
TT_COLD tt_status_t tt_adapt(tt_session_t *session, const tt_adaptation_t *task, void *workspace,
                             size_t workspace_bytes, float *losses);

#ifdef __cplusplus
}
#endif

#endif /* TT_ADAPT_H */
