/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned lies in variable tensors of train.tflite; commands tell its ops what a run is for. */
#include "tt_engine_tflm.h"

#include <stdbool.h>
#include <string.h>

#include "tt_interpreter.h"
#include "tt_op_params.h"
#include "tt_session_parts.h"

enum {
    IN_X = 0,
    IN_LABEL = 1,
    IN_COMMAND = 2
};
enum {
    TRAIN = 0,
    FISHER = 1,
    MODELS = 2
};
enum {
    CHOICE_WORDS = 3
}; /* of a candidate: its channels, where its rows begin, where their list begins */

static const struct tt_interpreted *places(const tt_session_t *session) {
    return session->model->interpreted;
}

static tt_interpreter_t *train_of(const tt_session_t *session) {
    return (tt_interpreter_t *)session->engine[TRAIN];
}

static tt_interpreter_t *fisher_of(const tt_session_t *session) {
    return (tt_interpreter_t *)session->engine[FISHER];
}

static float *pool_of(const tt_session_t *session) {
    return tt_interpreter_input(train_of(session), places(session)->in_pool);
}

static int32_t *control_of(const tt_session_t *session) {
    return tt_interpreter_input(train_of(session), places(session)->in_control);
}

static void clear_input(tt_interpreter_t *model, uint32_t index) {
    memset(tt_interpreter_input(model, index), 0, tt_interpreter_input_bytes(model, index));
}

/* The next run begins with the rows of the conversion, and with moments and gradients of 0. */
static void begin_afresh(const tt_session_t *session) {
    clear_input(train_of(session), places(session)->in_pool);
    clear_input(train_of(session), places(session)->in_control);
}

static bool is_afresh(const tt_session_t *session) {
    return control_of(session)[TT_CONTROL_INITIALISED] == 0;
}

/* A first run places the rows, which are forgotten again where it is refused. x: NULL where the command reads none. */
static tt_status_t run(const tt_session_t *session, tt_interpreter_t *model, const float *x, int32_t command) {
    const tt_model_t *about = session->model;
    if (x != NULL) {
        memcpy(tt_interpreter_input(model, IN_X), x, about->input_elements * sizeof(float));
    }
    if (session->target != NULL) {
        memcpy(tt_interpreter_input(model, IN_LABEL), session->target, about->label_elements * sizeof(float));
    } else if (about->loss->label == TT_LABEL_CLASS) {
        *(int32_t *)tt_interpreter_input(model, IN_LABEL) = (int32_t)session->label;
    }
    *(int32_t *)tt_interpreter_input(model, IN_COMMAND) = command;
    const bool first = is_afresh(session);
    const tt_status_t status = tt_interpreter_run(model);
    if (status != TT_OK && first) {
        begin_afresh(session);
    }
    return status;
}

static tt_status_t open(tt_session_t *session, size_t arena_bytes) {
    const tt_model_t *model = session->model;
    const struct tt_interpreted *at = places(session);
    tt_interpreter_t *interpreters[MODELS];
    const tt_status_t status =
        tt_interpreters_open(session->arena, arena_bytes, at->models, at->model_count, interpreters);
    if (status != TT_OK) {
        return status;
    }
    for (uint32_t i = 0; i < at->model_count; ++i) {
        session->engine[i] = interpreters[i];
    }
    if (model->prototypes != NULL) {
        session->prototypes.sums = tt_interpreter_input(train_of(session), at->in_sums);
        session->prototypes.counts = tt_interpreter_input(train_of(session), at->in_counts);
    }
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        const tt_layer_t *layer = &model->layers[i];
        session->rows[i].pool = pool_of(session) + layer->pool_offset / sizeof(float);
        session->rows[i].channels = layer->chosen;
        session->rows[i].stride = layer->stride;
        session->rows[i].trained = layer->trained;
    }
    return TT_OK;
}

/* Tells the model what is chosen, and where its rows go. */
static void place_chosen(tt_session_t *session) {
    const tt_model_t *model = session->model;
    int32_t *choice = tt_interpreter_input(train_of(session), places(session)->in_choice);
    const uint16_t *channels = (const uint16_t *)(const void *)(session->row_pool + model->choice->channels_offset);
    uint32_t list = CHOICE_WORDS * model->layer_count;
    uint32_t offset = 0u;
    clear_input(train_of(session), places(session)->in_choice);
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        tt_rows_t *rows = &session->rows[i];
        rows->trained = session->counts[i];
        rows->pool = pool_of(session) + offset;
        rows->channels = channels;
        choice[CHOICE_WORDS * i] = (int32_t)rows->trained;
        choice[CHOICE_WORDS * i + 1u] = (int32_t)offset;
        choice[CHOICE_WORDS * i + 2u] = (int32_t)list;
        for (uint32_t k = 0; k < rows->trained; ++k) {
            choice[list + k] = channels[k];
        }
        list += rows->trained;
        offset += places(session)->copies * tt_trained_elements(rows);
        channels += model->layer_channels[i];
    }
}

static void start_rows(tt_session_t *session) {
    if (session->model->choice != NULL) {
        place_chosen(session);
    }
    begin_afresh(session);
}

static tt_status_t need_rows(tt_session_t *session, bool *placed) {
    *placed = is_afresh(session);
    if (!*placed) {
        return TT_OK;
    }
    clear_input(train_of(session), IN_X);
    return run(session, train_of(session), NULL, TT_COMMAND_PREDICT);
}

static void rows_changed(tt_session_t *session) {
    control_of(session)[TT_CONTROL_INITIALISED] = 1; /* else the next run would begin from the base weights */
}

/* Whether the output is of use is for the caller to find out: until something is learned, no rows stay placed. */
static tt_status_t infer(tt_session_t *session, const float *x, const float **output) {
    const bool first = is_afresh(session);
    const tt_status_t status = run(session, train_of(session), x, TT_COMMAND_PREDICT);
    if (first) {
        begin_afresh(session);
    }
    *output = tt_interpreter_output(train_of(session), places(session)->out_output);
    return status;
}

static tt_status_t train(tt_session_t *session, const float *x) {
    const tt_status_t status = run(session, train_of(session), x, TT_COMMAND_TRAIN);
    if (status == TT_OK) {
        session->loss = *(const float *)tt_interpreter_output(train_of(session), places(session)->out_loss);
    }
    return status;
}

static tt_status_t add_seed(tt_session_t *session, const float *x, const float *output_gradient) {
    memcpy(tt_interpreter_input(train_of(session), places(session)->in_seed), output_gradient,
           session->model->output_elements * sizeof(float));
    return run(session, train_of(session), x, TT_COMMAND_ACCUMULATE);
}

static tt_status_t add_loss(tt_session_t *session, const float *x, float *scratch) {
    const tt_model_t *model = session->model;
    const float *output;
    float *gradient = scratch;
    tt_status_t status = infer(session, x, &output);
    if (status == TT_OK) {
        status = model->loss->gradient(session, output, gradient, scratch + model->output_elements, &session->loss);
    }
    if (status != TT_OK) {
        return status;
    }
    for (uint32_t i = 0; i < model->output_elements; ++i) {
        gradient[i] *= session->scale;
    }
    return add_seed(session, x, gradient);
}

static tt_status_t update(tt_session_t *session) {
    return run(session, train_of(session), NULL, TT_COMMAND_UPDATE);
}

static void clear_gradients(tt_session_t *session) {
    const uint32_t last = places(session)->copies - 1u;
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        const uint32_t elements = tt_trained_elements(&session->rows[i]);
        memset(session->rows[i].pool + (size_t)last * elements, 0, elements * sizeof(float));
    }
    control_of(session)[TT_CONTROL_SAMPLES] = 0;
}

static tt_status_t inspect(tt_session_t *session, const float *x) {
    const tt_model_t *model = session->model;
    const struct tt_interpreted *at = places(session);
    for (uint32_t i = 0; i < at->shared_count; ++i) {
        const uint8_t *pair = at->shared + (size_t)2u * i;
        memcpy(tt_interpreter_input(fisher_of(session), pair[0]), tt_interpreter_input(train_of(session), pair[1]),
               tt_interpreter_input_bytes(train_of(session), pair[1]));
    }
    const tt_status_t status = run(session, fisher_of(session), x, TT_COMMAND_FISHER);
    if (status != TT_OK) {
        return status;
    }
    /* tt_select reads them one after the other. */
    float *potential = (float *)(void *)(session->row_pool + model->choice->potentials_offset);
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        memcpy(potential, tt_interpreter_input(fisher_of(session), at->first_potential + i),
               model->layer_channels[i] * sizeof(float));
        potential += model->layer_channels[i];
    }
    return TT_OK;
}

static void clear_potentials(tt_session_t *session) {
    const tt_choice_t *choice = session->model->choice;
    for (uint32_t i = 0; i < session->model->layer_count; ++i) {
        clear_input(fisher_of(session), places(session)->first_potential + i);
    }
    memset(session->row_pool + choice->potentials_offset, 0, choice->channels * sizeof(float));
}

/* An input of 0 stands for the rate of the conversion: -0 is 0 to an update and another number to the op. */
static void hyper_changed(tt_session_t *session) {
    float *rate = tt_interpreter_input(train_of(session), places(session)->in_rate);
    *rate = session->hyper[0] > 0.0f ? session->hyper[0] : -0.0f;
}

static uint32_t steps(const tt_session_t *session) {
    return (uint32_t)control_of(session)[TT_CONTROL_STEPS];
}

static size_t arena_used(const tt_session_t *session) {
    return tt_interpreter_arena_used(train_of(session));
}

const tt_engine_t tt_engine_tflm = {
    open,   start_rows,      need_rows, rows_changed,     infer,         train, add_loss,   add_seed,
    update, clear_gradients, inspect,   clear_potentials, hyper_changed, steps, arena_used,
};
