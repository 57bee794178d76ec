/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_wheel_interpreter.h"

#include <string.h>

/* What firmware supplies the models as, under the names of the build. The wheel has their content: here they are names. */
#ifndef TT_WHEEL_TRAIN
#define TT_WHEEL_TRAIN tt_model_train
#define TT_WHEEL_FISHER tt_model_fisher
#endif
extern const uint8_t TT_WHEEL_TRAIN[];
extern const uint8_t TT_WHEEL_FISHER[];
const uint8_t TT_WHEEL_TRAIN[1] = {0};
const uint8_t TT_WHEEL_FISHER[1] = {0};

static tt_interpreter_t *held[TT_WHEEL_MODELS];
static uint32_t held_count;

void tt_wheel_hold(tt_interpreter_t *const *models, uint32_t count) {
    held_count = count <= TT_WHEEL_MODELS ? count : 0u;
    memcpy(held, models, held_count * sizeof held[0]);
}

tt_status_t tt_interpreters_open(void *arena, size_t arena_bytes, const uint8_t *const *models, uint32_t count,
                                 tt_interpreter_t **interpreters) {
    uint32_t i;
    uint32_t k;
    (void)arena;
    (void)models;
    if (count != held_count) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    for (i = 0; i < count; ++i) {
        if (arena_bytes < held[i]->arena_bytes) {
            return TT_ERROR_ARENA_TOO_SMALL;
        }
        for (k = 0; k < held[i]->input_count; ++k) {
            memset(held[i]->inputs[k], 0, held[i]->input_bytes[k]);
        }
        interpreters[i] = held[i];
    }
    return TT_OK;
}

tt_status_t tt_interpreter_run(tt_interpreter_t *interpreter) {
    return interpreter->run() != 0 ? TT_OK : TT_ERROR_NOT_FINITE;
}

void *tt_interpreter_input(tt_interpreter_t *interpreter, uint32_t index) {
    return index < interpreter->input_count ? interpreter->inputs[index] : NULL;
}

const void *tt_interpreter_output(tt_interpreter_t *interpreter, uint32_t index) {
    return index < interpreter->output_count ? interpreter->outputs[index] : NULL;
}

size_t tt_interpreter_input_bytes(tt_interpreter_t *interpreter, uint32_t index) {
    return index < interpreter->input_count ? interpreter->input_bytes[index] : 0u;
}

size_t tt_interpreter_arena_used(const tt_interpreter_t *interpreter) {
    return interpreter->arena_bytes;
}
