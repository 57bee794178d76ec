/* SPDX-License-Identifier: Apache-2.0 */
/* The program of an emulated board: takes requests from one FIFO, calls the model, answers on another. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tt_sim_clock.h"
#include "tt_sim_description.h"
#include "tt_sim_protocol.h"
#include "tt_sim_semihost.h"
#include "tt_sim_stack.h"
#include "tt_sim_state.h"
#include "tt_sim_task.h"

#define ALIGNED __attribute__((aligned(16)))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define MAX_ITERATIONS 4096u
#define OUTPUT_ELEMENTS LARGER(LARGER(TT_MODEL_CLASSES, TT_SIM_EMBEDDING_ELEMENTS), MAX_ITERATIONS)
#if TT_MODEL_DYNAMIC
#define CHOICE_BYTES (2u * (TT_MODEL_CANDIDATES + TT_MODEL_CANDIDATE_CHANNELS))
#else
#define CHOICE_BYTES 1u
#endif
#define TARGET_BYTES (4u * TT_MODEL_LABEL_ELEMENTS)
#define MESSAGE_BYTES                                                                                                  \
    LARGER(LARGER(LARGER(CHOICE_BYTES, TARGET_BYTES), TT_SIM_STORAGE_BYTES),                                           \
           sizeof(tt_sim_task_t) + 4u * TT_SIM_MAX_SAMPLES)
#define ADDRESS(thing) ((uint32_t)(uintptr_t)(thing))

static tt_session_t session ALIGNED;
static uint8_t arena[LARGER(TT_MODEL_ARENA_BYTES, 1)] ALIGNED;
static uint8_t row_pool[LARGER(TT_MODEL_ROW_POOL_BYTES, 1)] ALIGNED;
static float x[TT_MODEL_INPUT_ELEMENTS] ALIGNED;
static float output[OUTPUT_ELEMENTS] ALIGNED;
static uint8_t message[MESSAGE_BYTES] ALIGNED;
static uint8_t storage[TT_SIM_STORAGE_BYTES] ALIGNED;
static uint8_t workspace[TT_SIM_WORKSPACE_BYTES] ALIGNED;
static int32_t requests;
static int32_t replies;
static const tt_sim_description_t description = TT_SIM_DESCRIPTION;

typedef struct {
    tt_status_t status;
    uint64_t instructions;
    uint32_t stack_bytes;
    const void *payload;
    uint32_t payload_bytes;
} outcome_t;

static bool takes_sample(uint32_t command) {
    return command == TT_SIM_PREDICT || command == TT_SIM_TRAIN_STEP || command == TT_SIM_ENROLL ||
           command == TT_SIM_EMBEDDING || command == TT_SIM_FISHER_ACCUMULATE;
}

/* Whether the command trains towards a vector, which follows it. */
static bool takes_target(uint32_t command) {
    return TT_MODEL_LABEL_VECTOR && (command == TT_SIM_TRAIN_STEP || command == TT_SIM_FISHER_ACCUMULATE);
}

static bool takes_message(uint32_t command) {
    return takes_target(command) || command == TT_SIM_SELECT || command == TT_SIM_CHOOSE || command == TT_SIM_ADAPT ||
           command == TT_SIM_LOAD;
}

/* Lets the other end send a sample of the support set. */
static const float *fetch(void *context, uint32_t index) {
    const tt_sim_reply_t want = {TT_SIM_WANTS_SAMPLE, index, 0u, 0u, 0u};
    (void)context;
    return tt_sim_write(replies, &want, sizeof want) && tt_sim_read(requests, x, sizeof x) ? x : NULL;
}

static tt_status_t adapt(void) {
    const tt_sim_task_t *task = (const tt_sim_task_t *)(const void *)message;
    if (task->samples > TT_SIM_MAX_SAMPLES || task->iterations > MAX_ITERATIONS) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    return tt_sim_adapt(&session, task, (const uint32_t *)(const void *)(message + sizeof *task), fetch, NULL,
                        workspace, sizeof workspace, output);
}

static outcome_t count(const tt_sim_call_t *call, uint32_t output_elements) {
    outcome_t outcome = {TT_OK, 0u, 0u, output, output_elements * (uint32_t)sizeof(float)};
    outcome.status = (tt_status_t)tt_sim_count_stack(call, &outcome.instructions, &outcome.stack_bytes);
    return outcome;
}

static outcome_t send(const void *bytes, uint32_t count_of_bytes) {
    const outcome_t outcome = {TT_OK, 0u, 0u, bytes, count_of_bytes};
    return outcome;
}

static outcome_t refuse(void) {
    const outcome_t outcome = {TT_ERROR_INVALID_ARGUMENT, 0u, 0u, NULL, 0u};
    return outcome;
}

static outcome_t initialise(void) {
    const outcome_t outcome = {tt_sim_init(&session, arena, TT_MODEL_ARENA_BYTES, row_pool, TT_MODEL_ROW_POOL_BYTES),
                               0u, 0u, NULL, 0u};
    return outcome;
}

/* Not counted: its argument is a float, which the procedure call standard may pass in an FPU register. */
static outcome_t set_learning_rate(uint32_t bits) {
    union {
        uint32_t bits;
        float value;
    } rate = {bits};
    const outcome_t outcome = {tt_set_learning_rate(&session, rate.value), 0u, 0u, NULL, 0u};
    return outcome;
}

static outcome_t save(void) {
    uint32_t offset = 0u;
    uint32_t bytes = 0u;
    const tt_sim_call_t call = {ADDRESS(&tt_sim_save),
                                {ADDRESS(&session), ADDRESS(storage), ADDRESS(&offset), ADDRESS(&bytes)}};
    outcome_t outcome = count(&call, 0u);
    outcome.payload = storage + offset;
    outcome.payload_bytes = bytes;
    return outcome;
}

/* A state that was sent lies in a storage of its own: one that is refused leaves what was saved alone. */
static outcome_t load(uint32_t bytes) {
    const tt_sim_call_t call = {ADDRESS(&tt_sim_load),
                                {ADDRESS(&session), ADDRESS(bytes > 0u ? message : storage), 0u, 0u}};
    if (bytes > 0u) {
        memset(message + bytes, 0, sizeof message - bytes);
    }
    return count(&call, 0u);
}

static outcome_t perform(tt_sim_request_t request) {
    const bool to_target = takes_target(request.command);
    const uint32_t label = to_target ? ADDRESS(message) : request.argument;
    tt_sim_call_t call = {0u, {ADDRESS(&session), ADDRESS(x), ADDRESS(output), 0u}};
    if (to_target && request.argument != TARGET_BYTES) {
        return refuse();
    }
    switch (request.command) {
    case TT_SIM_DESCRIBE:
        return send(&description, sizeof description);
    case TT_SIM_INIT:
        return initialise();
    case TT_SIM_PREDICT:
        call.function = ADDRESS(&tt_predict);
        return count(&call, TT_MODEL_CLASSES);
    case TT_SIM_TRAIN_STEP:
        call.function = to_target ? ADDRESS(&tt_train_step_to) : ADDRESS(&tt_train_step);
        call.arguments[2] = label;
        call.arguments[3] = ADDRESS(output);
        return count(&call, 1u);
    case TT_SIM_ENROLL:
        call.function = ADDRESS(&tt_enroll);
        call.arguments[2] = label;
        return count(&call, 0u);
    case TT_SIM_EMBEDDING:
        call.function = ADDRESS(&tt_embedding);
        return count(&call, TT_SIM_EMBEDDING_ELEMENTS);
    case TT_SIM_FORGET_PROTOTYPES:
        call.function = ADDRESS(&tt_forget_prototypes);
        return count(&call, 0u);
    case TT_SIM_FISHER_ACCUMULATE:
        call.function = to_target ? ADDRESS(&tt_fisher_accumulate_to) : ADDRESS(&tt_fisher_accumulate);
        call.arguments[2] = label;
        return count(&call, 0u);
    case TT_SIM_FISHER_CLEAR:
        call.function = ADDRESS(&tt_fisher_clear);
        return count(&call, 0u);
    case TT_SIM_SELECT:
        call.function = ADDRESS(&tt_sim_select);
        call.arguments[1] = ADDRESS(message);
        return count(&call, 0u);
    case TT_SIM_CHOOSE:
        call.function = ADDRESS(&tt_sim_choose);
        call.arguments[1] = ADDRESS(message);
        return count(&call, 0u);
    case TT_SIM_ADAPT:
        call.function = ADDRESS(&adapt);
        return count(&call, ((const tt_sim_task_t *)(const void *)message)->iterations);
    case TT_SIM_SAVE:
        return save();
    case TT_SIM_LOAD:
        return load(request.argument);
    case TT_SIM_RESET:
        call.function = ADDRESS(&tt_reset);
        return count(&call, 0u);
    case TT_SIM_SET_LEARNING_RATE:
        return set_learning_rate(request.argument);
    case TT_SIM_READ_ROW_POOL:
        return send(row_pool, TT_MODEL_REGIONS_BYTES);
    default:
        return refuse();
    }
}

static bool answer(outcome_t outcome) {
    const tt_sim_reply_t reply = {(uint32_t)outcome.status, (uint32_t)outcome.instructions,
                                  (uint32_t)(outcome.instructions >> 32), outcome.stack_bytes,
                                  outcome.status == TT_OK ? outcome.payload_bytes : 0u};
    return tt_sim_write(replies, &reply, sizeof reply) && tt_sim_write(replies, outcome.payload, reply.payload_bytes);
}

int main(void) {
    requests = tt_sim_open("requests", TT_SIM_OPEN_READ);
    replies = tt_sim_open("replies", TT_SIM_OPEN_WRITE);
    if (requests < 0 || replies < 0) {
        tt_sim_print("cannot open the FIFOs 'requests' and 'replies' in the working directory\n");
        return 1;
    }
    tt_sim_clock_start();
    tt_sim_stack_start();
    for (;;) {
        tt_sim_request_t request;
        /* The end of the requests means that the program at the other end is gone. */
        if (!tt_sim_read(requests, &request, sizeof request) || request.command == TT_SIM_EXIT) {
            return 0;
        }
        if (takes_message(request.command) &&
            (request.argument > sizeof message || !tt_sim_read(requests, message, request.argument))) {
            return 0;
        }
        if (takes_sample(request.command) && !tt_sim_read(requests, x, sizeof x)) {
            return 0;
        }
        if (!answer(perform(request))) {
            return 0;
        }
    }
}
