/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m tt_tflm.tflite.op_codes` from tvm_passes/ops; do not edit. */
#ifndef TT_OP_CODES_H
#define TT_OP_CODES_H

/* Values never change; new ones are appended. */
typedef enum {
    TT_OP_START = 1,
    TT_OP_FINISH = 2,
    TT_OP_CONV2D = 3,
    TT_OP_CONV2D_GRAD_INPUT = 4,
    TT_OP_CONV2D_GRAD_WEIGHTS = 5,
    TT_OP_DEPTHWISE_CONV2D = 6,
    TT_OP_DEPTHWISE_CONV2D_GRAD_INPUT = 7,
    TT_OP_DEPTHWISE_CONV2D_GRAD_WEIGHTS = 8,
    TT_OP_CLIP_MASK = 9,
    TT_OP_MASK_GRAD = 10,
    TT_OP_CLIP_GRAD = 11,
    TT_OP_LEAKY_RELU_GRAD = 12,
    TT_OP_SIGMOID_GRAD = 13,
    TT_OP_TANH_GRAD = 14,
    TT_OP_HARD_SWISH_GRAD = 15,
    TT_OP_SOFTMAX_GRAD = 16,
    TT_OP_ADD = 17,
    TT_OP_ACCUMULATE = 18,
    TT_OP_MULTIPLY = 19,
    TT_OP_MULTIPLY_CHANNEL = 20,
    TT_OP_CHANNEL_DOT = 21,
    TT_OP_COPY = 22,
    TT_OP_SLICE = 23,
    TT_OP_CROP2D = 24,
    TT_OP_AVG_POOL_GRAD = 25,
    TT_OP_MAX_POOL_GRAD = 26,
    TT_OP_SOFTMAX_CROSS_ENTROPY = 27,
    TT_OP_PROTOTYPE_LOSS = 28,
    TT_OP_SGD = 29,
    TT_OP_MOMENTUM = 30,
    TT_OP_ADAM = 31,
    TT_OP_FISHER_POTENTIAL = 32,
    TT_OP_CLIP = 33,
    TT_OP_AFFINE = 34,
    TT_OP_EXPRESSION = 35,
    TT_OP_LOSS = 36
} tt_op_code_t;

/* How many ops RegisterTinyTrainOps adds. */
#define TT_OPS 36

#endif /* TT_OP_CODES_H */
