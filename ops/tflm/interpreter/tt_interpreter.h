/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TensorFlow Lite Micro behind calls of C: for the engine of builds of the backend tflm, not for applications. The
 * models of one arena share what lasts for one run only.
 */
#ifndef TT_INTERPRETER_H
#define TT_INTERPRETER_H

#include <stddef.h>
#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tt_interpreter tt_interpreter_t;

/*
 * Makes an interpreter for each model; variable tensors are 0.
 *
 * arena:        16-byte aligned, [arena_bytes], in use from then on.
 * models:       in, [count], at least 1: the bytes of each, which stay where they are.
 * interpreters: out, [count].
 * Returns TT_ERROR_ARENA_TOO_SMALL, too, where TFLM refuses a model: its log says why.
 */
tt_status_t tt_interpreters_open(void *arena, size_t arena_bytes, const uint8_t *const *models, uint32_t count,
                                 tt_interpreter_t **interpreters);

/* One run. Every input but the state is to be set before it. TT_ERROR_NOT_FINITE where an op refuses to go on. */
tt_status_t tt_interpreter_run(tt_interpreter_t *interpreter);

/* The content of an input or output, by its place in the model; an output is overwritten by the next run of any model. */
void *tt_interpreter_input(tt_interpreter_t *interpreter, uint32_t index);
const void *tt_interpreter_output(tt_interpreter_t *interpreter, uint32_t index);

/* Bytes of an input. */
size_t tt_interpreter_input_bytes(tt_interpreter_t *interpreter, uint32_t index);

/* Bytes that all interpreters of the arena take of it together. */
size_t tt_interpreter_arena_used(const tt_interpreter_t *interpreter);

#ifdef __cplusplus
}
#endif

#endif /* TT_INTERPRETER_H */
