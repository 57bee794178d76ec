/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_expression.h"

#include <math.h>
#include <string.h>

#include "tt_kernel.h"

/* Elements that a step works on at once, so that finding out which step it is costs little. */
#define BLOCK 16u

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
        if (code >= TT_EXPRESSION_CONSTANT ? code - TT_EXPRESSION_CONSTANT >= TT_EXPRESSION_CONSTANTS
            : code >= TT_EXPRESSION_OPERAND ? code - TT_EXPRESSION_OPERAND >= expression->operands
                                            : code >= TT_EXPRESSION_CODES) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
        if (taken > depth) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
        depth = depth - taken + 1u;
        if (depth > TT_EXPRESSION_DEPTH) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }
    return depth == 1u ? TT_OK : TT_ERROR_INVALID_ARGUMENT;
}

static void unary(uint8_t code, uint32_t count, float *a) {
    for (uint32_t i = 0u; i < count; ++i) {
        const float x = a[i];
        switch (code) {
        case TT_EXPRESSION_ABSOLUTE: a[i] = fabsf(x); break;
        case TT_EXPRESSION_EXPONENTIAL: a[i] = expf(x); break;
        case TT_EXPRESSION_LOGARITHM: a[i] = logf(x); break;
        case TT_EXPRESSION_SQUARE_ROOT: a[i] = sqrtf(x); break;
        case TT_EXPRESSION_TANH: a[i] = tanhf(x); break;
        default: a[i] = tt_sigmoid(x); break;
        }
    }
}

static void binary(uint8_t code, uint32_t count, float *a, const float *b) {
    for (uint32_t i = 0u; i < count; ++i) {
        const float x = a[i];
        const float y = b[i];
        switch (code) {
        case TT_EXPRESSION_ADD: a[i] = x + y; break;
        case TT_EXPRESSION_SUBTRACT: a[i] = x - y; break;
        case TT_EXPRESSION_MULTIPLY: a[i] = x * y; break;
        case TT_EXPRESSION_DIVIDE: a[i] = x / y; break;
        case TT_EXPRESSION_MAXIMUM: a[i] = tt_max(x, y); break;
        case TT_EXPRESSION_MINIMUM: a[i] = tt_min(x, y); break;
        case TT_EXPRESSION_GREATER: a[i] = x > y ? 1.0f : 0.0f; break;
        case TT_EXPRESSION_GREATER_EQUAL: a[i] = x >= y ? 1.0f : 0.0f; break;
        case TT_EXPRESSION_LESS: a[i] = x < y ? 1.0f : 0.0f; break;
        default: a[i] = x <= y ? 1.0f : 0.0f; break;
        }
    }
}

static void choose(uint32_t count, float *condition, const float *a, const float *b) {
    for (uint32_t i = 0u; i < count; ++i) {
        condition[i] = condition[i] != 0.0f ? a[i] : b[i];
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
                if (code > TT_EXPRESSION_SELECT) {
                    unary(code, n, stack[depth]);
                } else if (code < TT_EXPRESSION_SELECT) {
                    binary(code, n, stack[depth], stack[depth + 1u]);
                } else {
                    choose(n, stack[depth], stack[depth + 1u], stack[depth + 2u]);
                }
            }
            ++depth;
        }
        memcpy(y + begin, stack[0], n * sizeof(float));
    }
}
