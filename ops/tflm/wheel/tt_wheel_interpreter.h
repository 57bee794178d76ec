/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tt_interpreter.h over the interpreters of the tflite-micro wheel, which Python holds: what a build's tt_model.c is linked
 * against to run in a Python process. Models and arena are the wheel's own.
 */
#ifndef TT_WHEEL_INTERPRETER_H
#define TT_WHEEL_INTERPRETER_H

#include "tt_interpreter.h"

/* A model in the wheel. Laid out again in tt_tflm/boards/simulated/tflm_models.py. */
struct tt_interpreter {
    void *const *inputs;       /* [input_count], where TFLM keeps them */
    const size_t *input_bytes; /* [input_count] */
    void *const *outputs;      /* [output_count] */
    uint32_t input_count;
    uint32_t output_count;
    size_t arena_bytes;   /* what all models of the build need of an arena together */
    int32_t (*run)(void); /* 0 where an op refuses to go on */
};

/*
 * Names the models that the next tt_init of this library opens: train.tflite, then fisher.tflite where the build has it.
 * One session at a time may use them.
 *
 * models: in, [count], each of which outlives the session; at most TT_WHEEL_MODELS.
 */
#define TT_WHEEL_MODELS 2u
void tt_wheel_hold(tt_interpreter_t *const *models, uint32_t count);

#endif /* TT_WHEEL_INTERPRETER_H */
