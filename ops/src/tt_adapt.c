/* SPDX-License-Identifier: Apache-2.0 */
/* Adaptation, a pass at a time. */
#include "tt_adapt.h"

#include "tt_enrolment.h"
#include "tt_episode.h"
#include "tt_random.h"
#include "tt_session_parts.h"

/* Each stage but the last goes over samples; what follows from all of them belongs to its last step. */
enum {
    FIRST_ENROL, /* prototypes by the rows as they are found, and the pace */
    EMBED,       /* exact: embeddings of the support set, then of its pseudo-queries; the gradient for each */
    BACK,        /* exact: one backward pass for each; the update */
    ENROL,       /* constant: prototypes of this iteration */
    QUERIES,     /* constant: the pseudo-queries; the update */
    LAST_ENROL,  /* prototypes by the rows as they are left */
    DONE
};

static float *embedding(const tt_adapter_t *adapter, uint32_t index) {
    return adapter->embeddings + (size_t)index * adapter->session->model->output_elements;
}

/* Sample index of the iteration: the support set first, then its pseudo-queries, which are drawn anew every iteration
 * but alike in both passes of one. */
static const float *sample_of(const tt_adapter_t *adapter, uint32_t index) {
    const tt_adaptation_t *task = &adapter->task;
    const float *x = task->sample(task->context, index % task->samples);
    tt_random_t random;
    if (index < task->samples || x == NULL) {
        return x;
    }
    tt_random_seed(&random, task->seed, adapter->iteration, index);
    tt_augment(x, adapter->image, &adapter->session->model->image, &task->augment, &random);
    return adapter->image;
}

static tt_status_t embed(tt_adapter_t *adapter) {
    return tt_embedding(adapter->session, sample_of(adapter, adapter->index), embedding(adapter, adapter->index));
}

/* Prototypes of the embedded support set. */
static tt_status_t publish(tt_adapter_t *adapter) {
    const tt_prototypes_t *prototypes = &adapter->session->prototypes;
    tt_status_t status = tt_prototypes_reset(prototypes);
    for (uint32_t i = 0; i < adapter->task.samples && status == TT_OK; ++i) {
        status = tt_prototypes_enroll(prototypes, embedding(adapter, i), adapter->task.labels[i]);
    }
    return status;
}

/* The learning rate by what the base weights make of the support set. */
static tt_status_t set_pace(tt_adapter_t *adapter) {
    const tt_model_t *model = adapter->session->model;
    const float tightness = tt_episode_tightness(adapter->embeddings, adapter->task.labels, adapter->task.samples,
                                                 model->classes, model->output_elements, adapter->scratch);
    return tt_set_learning_rate(adapter->session, adapter->rate * tt_episode_rate(tightness));
}

static void go_to(tt_adapter_t *adapter, uint32_t stage) {
    adapter->stage = stage;
    adapter->index = 0u;
}

static void next_iteration(tt_adapter_t *adapter) {
    if (adapter->iteration == adapter->task.iterations) {
        go_to(adapter, LAST_ENROL);
    } else {
        go_to(adapter, adapter->task.exact != 0u ? EMBED : ENROL);
    }
}

static tt_status_t end_iteration(tt_adapter_t *adapter) {
    const tt_status_t status = tt_update(adapter->session);
    if (status == TT_OK) {
        adapter->iteration += 1u;
        next_iteration(adapter);
    }
    return status;
}

static void finish(tt_adapter_t *adapter) {
    go_to(adapter, DONE);
    (void)tt_set_learning_rate(adapter->session, adapter->rate);
}

static bool last(tt_adapter_t *adapter, uint32_t count) {
    adapter->passes += 1u;
    adapter->index += 1u;
    return adapter->index == count;
}

static tt_status_t first_enrol(tt_adapter_t *adapter) {
    tt_status_t status = embed(adapter);
    if (status != TT_OK || !last(adapter, adapter->task.samples)) {
        return status;
    }
    adapter->session->model->engine->clear_gradients(adapter->session); /* of whatever came before */
    status = publish(adapter);
    if (status == TT_OK && adapter->task.paced != 0u) {
        status = set_pace(adapter);
    }
    next_iteration(adapter);
    return status;
}

static tt_status_t enrol(tt_adapter_t *adapter) {
    const tt_status_t status = embed(adapter);
    if (status != TT_OK || !last(adapter, adapter->task.samples)) {
        return status;
    }
    go_to(adapter, QUERIES);
    adapter->losses[adapter->iteration] = 0.0f;
    return publish(adapter);
}

static tt_status_t last_enrol(tt_adapter_t *adapter) {
    tt_status_t status = embed(adapter);
    if (status == TT_OK && !last(adapter, adapter->task.samples)) {
        return TT_OK;
    }
    if (status == TT_OK) {
        status = publish(adapter);
    }
    if (status != TT_OK) {
        (void)tt_prototypes_reset(&adapter->session->prototypes); /* none, rather than those of other rows */
    }
    finish(adapter);
    return status;
}

static tt_status_t episode_embed(tt_adapter_t *adapter) {
    const tt_model_t *model = adapter->session->model;
    const uint32_t samples = adapter->task.samples;
    const tt_status_t status = embed(adapter);
    if (status != TT_OK) {
        return status;
    }
    adapter->labels[adapter->index] = adapter->task.labels[adapter->index % samples];
    if (!last(adapter, 2u * samples)) {
        return adapter->index == samples ? publish(adapter) : TT_OK;
    }
    go_to(adapter, BACK);
    return tt_note_loss(adapter->session,
                        tt_episode_gradient(adapter->embeddings, adapter->labels, samples, samples, model->classes,
                                            model->output_elements, adapter->session->prototypes.temperature,
                                            adapter->scratch, &adapter->losses[adapter->iteration]));
}

static tt_status_t episode_back(tt_adapter_t *adapter) {
    const uint32_t index = adapter->index;
    const tt_status_t status = tt_accumulate(adapter->session, sample_of(adapter, index), embedding(adapter, index));
    if (status != TT_OK || !last(adapter, 2u * adapter->task.samples)) {
        return status;
    }
    return end_iteration(adapter);
}

static tt_status_t query(tt_adapter_t *adapter) {
    tt_session_t *session = adapter->session;
    const tt_adaptation_t *task = &adapter->task;
    const float *x = sample_of(adapter, task->samples + adapter->index);
    tt_status_t status = tt_check_class(session, x, task->labels[adapter->index]);
    if (status != TT_OK) {
        return status;
    }
    session->label = task->labels[adapter->index];
    session->scale = 1.0f / (float)task->samples;
    status = tt_note_loss(session, session->model->engine->add_loss(session, x, adapter->scratch));
    adapter->losses[adapter->iteration] += session->loss;
    tt_end_call(session);
    if (status != TT_OK || !last(adapter, task->samples)) {
        return status;
    }
    adapter->losses[adapter->iteration] /= (float)task->samples;
    return end_iteration(adapter);
}

static tt_status_t run_stage(tt_adapter_t *adapter) {
    switch (adapter->stage) {
    case FIRST_ENROL:
        return first_enrol(adapter);
    case EMBED:
        return episode_embed(adapter);
    case BACK:
        return episode_back(adapter);
    case ENROL:
        return enrol(adapter);
    case QUERIES:
        return query(adapter);
    case LAST_ENROL:
        return last_enrol(adapter);
    default:
        return TT_OK;
    }
}

void tt_adapt_cancel(tt_adapter_t *adapter) {
    if (adapter->stage == FIRST_ENROL) {
        adapter->stage = LAST_ENROL; /* what has been embedded is by the same rows */
    } else if (adapter->stage < LAST_ENROL) {
        adapter->session->model->engine->clear_gradients(adapter->session); /* of an unfinished iteration */
        go_to(adapter, LAST_ENROL);
    }
}

tt_status_t tt_adapt_step(tt_adapter_t *adapter) {
    if (adapter == NULL || adapter->session == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    const tt_status_t status = run_stage(adapter);
    if (status != TT_OK) {
        if (adapter->outcome == TT_OK) {
            adapter->outcome = status;
        }
        if (adapter->stage == FIRST_ENROL) {
            finish(adapter); /* rows and prototypes are as they were */
        } else {
            tt_adapt_cancel(adapter);
        }
    }
    return status;
}

bool tt_adapt_done(const tt_adapter_t *adapter) {
    return adapter->stage == DONE;
}

tt_status_t tt_adapt_outcome(const tt_adapter_t *adapter) {
    return adapter->outcome;
}

uint32_t tt_adapt_iterations(const tt_adapter_t *adapter) {
    return adapter->iteration;
}

void tt_adapt_progress(const tt_adapter_t *adapter, uint32_t *passes, uint32_t *total) {
    const uint32_t of_iteration = adapter->task.exact != 0u ? 4u : 2u;
    *passes = adapter->passes;
    *total = adapter->task.samples * (2u + of_iteration * adapter->task.iterations);
}

size_t tt_adapt_workspace_bytes(const tt_session_t *session, uint32_t samples) {
    if (tt_check_session(session) != TT_OK || session->model->prototypes == NULL || !session->model->accumulates) {
        return 0u;
    }
    const tt_model_t *model = session->model;
    return TT_ADAPT_WORKSPACE_BYTES(samples, model->input_elements, model->classes, model->output_elements);
}

static tt_status_t check_task(const tt_session_t *session, const tt_adaptation_t *task) {
    if (session->model->prototypes == NULL || !session->model->accumulates) {
        return TT_ERROR_UNSUPPORTED;
    }
    if (session->soundness == TT_ROWS_NOT_FINITE) {
        return TT_ERROR_NOT_FINITE;
    }
    const tt_support_t support = {task->sample, task->context, task->labels, task->samples};
    return tt_check_support(session, &support);
}

tt_status_t tt_adapt_begin(tt_adapter_t *adapter, tt_session_t *session, const tt_adaptation_t *task, void *workspace,
                           size_t workspace_bytes, float *losses) {
    if (adapter == NULL || task == NULL || workspace == NULL || losses == NULL || task->sample == NULL ||
        task->labels == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    adapter->session = NULL;
    adapter->stage = DONE;
    tt_status_t status = tt_check_session(session);
    if (status == TT_OK) {
        status = check_task(session, task);
    }
    if (status != TT_OK) {
        return status;
    }
    const tt_model_t *model = session->model;
    if (!TT_IS_ALIGNED(workspace, 16u)) {
        return TT_ERROR_MISALIGNED;
    }
    if (workspace_bytes < tt_adapt_workspace_bytes(session, task->samples)) {
        return TT_ERROR_ARENA_TOO_SMALL;
    }
    adapter->session = session;
    adapter->task = *task;
    adapter->image = workspace;
    adapter->embeddings = adapter->image + model->input_elements;
    adapter->scratch = adapter->embeddings + (size_t)2u * task->samples * model->output_elements;
    adapter->labels =
        (uint32_t *)(void *)(adapter->scratch + tt_episode_scratch_floats(model->classes, model->output_elements));
    adapter->losses = losses;
    adapter->stage = FIRST_ENROL;
    adapter->iteration = 0u;
    adapter->index = 0u;
    adapter->passes = 0u;
    adapter->rate = session->hyper[0];
    adapter->outcome = TT_OK;
    return TT_OK;
}

tt_status_t tt_adapt(tt_session_t *session, const tt_adaptation_t *task, void *workspace, size_t workspace_bytes,
                     float *losses) {
    tt_adapter_t adapter;
    const tt_status_t status = tt_adapt_begin(&adapter, session, task, workspace, workspace_bytes, losses);
    if (status != TT_OK) {
        return status;
    }
    while (!tt_adapt_done(&adapter)) {
        (void)tt_adapt_step(&adapter);
    }
    return tt_adapt_outcome(&adapter);
}
