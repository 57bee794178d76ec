/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_PROTOCOL_H
#define TT_SIM_PROTOCOL_H

#include <stdint.h>

/*
 * What simulation programs and tt_tflm/boards/simulated say to each other. Little-endian, no padding.
 *
 * Request: tt_sim_request_t, followed by TT_MODEL_INPUT_ELEMENTS floats for the commands that take a
 * sample (predict, train step, enroll, embedding, Fisher). Bytes that a command takes as well come before the sample.
 * Label: the argument; of a loss whose label is a vector the argument tells the bytes that follow,
 * TT_MODEL_LABEL_ELEMENTS floats.
 * Reply: tt_sim_reply_t, followed by payload_bytes bytes; a status other than TT_OK has no payload.
 */
#define TT_SIM_PROTOCOL_VERSION 6u

/* As the status of a reply: the board wants sample instructions_low of a running TT_SIM_ADAPT, which follows alone. */
#define TT_SIM_WANTS_SAMPLE 0x57414e54u

typedef enum {
    TT_SIM_DESCRIBE = 0, /* payload: tt_sim_description_t */
    TT_SIM_INIT = 1,
    TT_SIM_PREDICT = 2,    /* sample; payload: TT_MODEL_CLASSES floats */
    TT_SIM_TRAIN_STEP = 3, /* sample, label; payload: one float, the loss */
    TT_SIM_ENROLL = 4,     /* sample, argument: label */
    TT_SIM_EMBEDDING = 5,  /* sample; payload: TT_MODEL_EMBEDDING_ELEMENTS floats */
    TT_SIM_RESET = 6,
    TT_SIM_SET_LEARNING_RATE = 7, /* argument: bits of a float */
    TT_SIM_READ_ROW_POOL = 8,     /* payload: TT_MODEL_ROW_POOL_BYTES bytes */
    TT_SIM_EXIT = 9,              /* no reply */
    TT_SIM_FORGET_PROTOTYPES = 10,
    TT_SIM_FISHER_ACCUMULATE = 11, /* sample, label */
    TT_SIM_FISHER_CLEAR = 12,
    TT_SIM_SELECT = 13, /* argument: bytes that follow, a tt_sim_budget_t */
    TT_SIM_CHOOSE = 14, /* argument: bytes that follow, see tt_sim_choose */
    TT_SIM_ADAPT = 15, /* argument: bytes that follow, a tt_sim_task_t and labels; payload: iterations floats, losses */
    TT_SIM_SAVE = 16,  /* payload: the state */
    TT_SIM_LOAD = 17   /* argument: bytes that follow, a state; 0 for the one that was saved last */
} tt_sim_command_t;

typedef struct {
    uint32_t command;
    uint32_t argument;
} tt_sim_request_t;

typedef struct {
    uint32_t status;           /* tt_status_t */
    uint32_t instructions_low; /* executed by the call of the model, 0 where none was made */
    uint32_t instructions_high;
    uint32_t stack_bytes; /* the most that the call had of the stack, 0 where none was made */
    uint32_t payload_bytes;
} tt_sim_reply_t;

typedef struct {
    uint32_t protocol_version;
    uint32_t input_elements;
    uint32_t classes;
    uint32_t embedding_elements; /* 0 without prototypes */
    uint32_t label_elements;     /* of a label that is a vector; 0 for a class */
    uint32_t arena_bytes;
    uint32_t regions_bytes;  /* of the row pool, the tables of the session apart: what TT_SIM_READ_ROW_POOL sends */
    uint32_t row_pool_bytes; /* on this machine: tables hold pointers */
    uint32_t session_bytes;
} tt_sim_description_t;

#endif /* TT_SIM_PROTOCOL_H */
