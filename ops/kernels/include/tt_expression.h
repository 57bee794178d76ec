/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_EXPRESSION_H
#define TT_EXPRESSION_H

#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A scalar expression as a program in postfix order, for elementwise operations that have no kernel of their own. Each
 * step pushes a value on a stack or replaces the values on top of it by its result; the last leaves one, the result.
 * tt_tflm/tflite/expression.py makes them.
 */
#define TT_EXPRESSION_STEPS 32
#define TT_EXPRESSION_CONSTANTS 8
#define TT_EXPRESSION_OPERANDS 4
#define TT_EXPRESSION_DEPTH 8 /* values on the stack */

typedef enum {
    TT_EXPRESSION_ADD = 0,
    TT_EXPRESSION_SUBTRACT = 1, /* first pushed minus last pushed */
    TT_EXPRESSION_MULTIPLY = 2,
    TT_EXPRESSION_DIVIDE = 3,
    TT_EXPRESSION_MAXIMUM = 4,
    TT_EXPRESSION_MINIMUM = 5,
    TT_EXPRESSION_GREATER = 6, /* 1 or 0, as the three below */
    TT_EXPRESSION_GREATER_EQUAL = 7,
    TT_EXPRESSION_LESS = 8,
    TT_EXPRESSION_LESS_EQUAL = 9,
    TT_EXPRESSION_SELECT = 10, /* of three: the second where the first is not 0, else the third */
    TT_EXPRESSION_ABSOLUTE = 11,
    TT_EXPRESSION_EXPONENTIAL = 12,
    TT_EXPRESSION_LOGARITHM = 13,
    TT_EXPRESSION_SQUARE_ROOT = 14,
    TT_EXPRESSION_TANH = 15,
    TT_EXPRESSION_SIGMOID = 16,
    TT_EXPRESSION_CODES = 17,
    TT_EXPRESSION_OPERAND = 64,  /* + i: pushes operand i */
    TT_EXPRESSION_CONSTANT = 128 /* + i: pushes constant i */
} tt_expression_code_t;

typedef struct {
    int32_t operands; /* 1 to TT_EXPRESSION_OPERANDS */
    int32_t steps;    /* 1 to TT_EXPRESSION_STEPS */
    uint8_t code[TT_EXPRESSION_STEPS];
    float constants[TT_EXPRESSION_CONSTANTS];
} tt_expression_t;

/*
 * tt_expression checks nothing: whoever takes an expression from outside calls this once, before the first use.
 *
 * Returns TT_OK, or TT_ERROR_INVALID_ARGUMENT if a number is out of range, a step is none, takes more values than are on
 * the stack or pushes one too many, or if not exactly one value is left.
 */
tt_status_t tt_expression_check(const tt_expression_t *expression);

/*
 * y[i] = the expression of operands[0][i], operands[1][i], ...
 *
 * operands: in, [expression->operands] arrays of float32 [count].
 * y:        out, [count]; may be one of the operands, else overlaps none.
 */
void tt_expression(const tt_expression_t *expression, const float *const *operands, uint32_t count, float *y);

#ifdef __cplusplus
}
#endif

#endif /* TT_EXPRESSION_H */
