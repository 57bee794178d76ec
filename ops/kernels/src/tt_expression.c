/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_expression.h"

#include <math.h>
#include <string.h>

#include "tt_kernel.h"

/* Elements that a step works on at once, so that walking the program costs little. */
#define BLOCK 16u

/* Whether there is such a step, and what it pushes. */
static bool is_step(const tt_expression_t *expression, uint8_t code) {
    if (code >= TT_EXPRESSION_CONSTANT) {
        return code - TT_EXPRESSION_CONSTANT < TT_EXPRESSION_CONSTANTS;
    }
    if (code >= TT_EXPRESSION_OPERAND) {
        return code - TT_EXPRESSION_OPERAND < expression->operands;
    }
    return code < TT_EXPRESSION_CODES;
}

/* Values that a step takes off the stack; 0 for one that pushes. */
static uint32_t operands_of(uint8_t code) {
    if (code >= TT_EXPRESSION_CODES) {
        return 0u;
    }
    if (code == TT_EXPRESSION_SELECT) {
        return 3u;
    }
    return code < TT_EXPRESSION_SELECT ? 2u : 1u;
}

tt_status_t tt_expression_check(const tt_expression_t *expression) {
    if (expression->operands < 1 || expression->operands > TT_EXPRESSION_OPERANDS || expression->steps < 1 ||
        expression->steps > TT_EXPRESSION_STEPS) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    uint32_t depth = 0u;
    for (int32_t i = 0; i < expression->steps; ++i) {
        const uint8_t code = expression->code[i];
        const uint32_t taken = operands_of(code);
        if (!is_step(expression, code) || taken > depth) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
        depth = depth - taken + 1u;
        if (depth > TT_EXPRESSION_DEPTH) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }
    return depth == 1u ? TT_OK : TT_ERROR_INVALID_ARGUMENT;
}

static float unary(uint8_t code, float x) {
    switch (code) {
    case TT_EXPRESSION_ABSOLUTE:
        return fabsf(x);
    case TT_EXPRESSION_EXPONENTIAL:
        return expf(x);
    case TT_EXPRESSION_LOGARITHM:
        return logf(x);
    case TT_EXPRESSION_SQUARE_ROOT:
        return sqrtf(x);
    case TT_EXPRESSION_TANH:
        return tanhf(x);
    default:
        return tt_sigmoid(x);
    }
}

static float binary(uint8_t code, float a, float b) {
    switch (code) {
    case TT_EXPRESSION_ADD:
        return a + b;
    case TT_EXPRESSION_SUBTRACT:
        return a - b;
    case TT_EXPRESSION_MULTIPLY:
        return a * b;
    case TT_EXPRESSION_DIVIDE:
        return a / b;
    case TT_EXPRESSION_MAXIMUM:
        return tt_max(a, b);
    case TT_EXPRESSION_MINIMUM:
        return tt_min(a, b);
    case TT_EXPRESSION_GREATER:
        return a > b ? 1.0f : 0.0f;
    case TT_EXPRESSION_GREATER_EQUAL:
        return a >= b ? 1.0f : 0.0f;
    case TT_EXPRESSION_LESS:
        return a < b ? 1.0f : 0.0f;
    default:
        return a <= b ? 1.0f : 0.0f;
    }
}

/* stack: the values that the step takes, those pushed last behind; its result goes into the first. */
static void compute(uint8_t code, uint32_t count, float (*stack)[BLOCK]) {
    for (uint32_t i = 0u; i < count; ++i) {
        if (code > TT_EXPRESSION_SELECT) {
            stack[0][i] = unary(code, stack[0][i]);
        } else if (code < TT_EXPRESSION_SELECT) {
            stack[0][i] = binary(code, stack[0][i], stack[1][i]);
        } else {
            stack[0][i] = stack[0][i] != 0.0f ? stack[1][i] : stack[2][i];
        }
    }
}

void tt_expression(const tt_expression_t *expression, const float *const *operands, uint32_t count, float *y) {
    float stack[TT_EXPRESSION_DEPTH][BLOCK];
    for (uint32_t begin = 0u; begin < count; begin += BLOCK) {
        const uint32_t n = count - begin < BLOCK ? count - begin : BLOCK;
        uint32_t depth = 0u;
        for (int32_t step = 0; step < expression->steps; ++step) {
            const uint8_t code = expression->code[step];
            if (code >= TT_EXPRESSION_CONSTANT) {
                for (uint32_t i = 0u; i < n; ++i) {
                    stack[depth][i] = expression->constants[code - TT_EXPRESSION_CONSTANT];
                }
            } else if (code >= TT_EXPRESSION_OPERAND) {
                memcpy(stack[depth], operands[code - TT_EXPRESSION_OPERAND] + begin, n * sizeof(float));
            } else {
                depth -= operands_of(code);
                compute(code, n, &stack[depth]);
            }
            ++depth;
        }
        memcpy(y + begin, stack[0], n * sizeof(float));
    }
}
