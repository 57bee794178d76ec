/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the custom ops of a train.tflite are told: the custom options of each op are one of the structures below, as
 * little-endian bytes, exactly as long as the structure. tt_tflm/tflite/op_params.py writes them.
 *
 * Every field has 4 bytes (or several fields share 4), so that no compiler puts padding between them. A structure only
 * changes together with TT_OP_VERSION, and a runtime refuses any version but its own.
 *
 * The tensors of an op, in order, stand beside its structure; [name] is there only if the flag says so. All tensors are
 * float32 unless a type stands behind the name; their shapes are free as long as the number of elements is right.
 *
 *   active   int32[2]: low and high word of the candidates that this run forms gradients of; output of TT_START. An op
 *            with `active` does nothing while (guard & active) is 0, and leaves its output as it finds it.
 *   updating int32[2]: likewise the candidates that this run updates.
 *   rows     of a candidate (candidate >= 0): three inputs base [O, stride], pool and choice (int32); of a frozen layer
 *            (candidate TT_OP_FROZEN): one input filter, as TFLite stores it: [O, kh, kw, C], depthwise [1, kh, kw, C].
 *   choice   int32: choice[3 i ..] = how many channels of candidate i are trained, where its part of the pool begins
 *            (floats, even), where its list of channels begins (index into choice); then the lists, ascending.
 *   pool     a candidate's part is `copies` blocks of trained * stride floats: rows, the moments of the optimiser,
 *            accumulated gradients, as far as there are any.
 *   rate     [1]: learning rate; 0 stands for the one in the parameters.
 *   control  int32[TT_CONTROL_WORDS], see below.
 *
 * A tensor that an op writes, as an output or in place, is none of its other tensors and no constant.
 */
#ifndef TT_OP_PARAMS_H
#define TT_OP_PARAMS_H

#include <stdint.h>

#include "tt_expression.h"
#include "tt_op_codes.h"
#include "tt_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_OP_MAGIC 0x504f5454u /* "TTOP" */
#define TT_OP_VERSION 2u
#define TT_OP_FROZEN (-1)   /* as candidate: the layer is not trained */
#define TT_OP_NO_BLOCK (-1) /* as block: the gradient is a tensor of its own */
#define TT_OP_CANDIDATES 64 /* bits of a guard */

typedef enum {
    TT_OP_FLAG_IN_PLACE = 1,    /* the result goes into the first input; there is no output */
    TT_OP_FLAG_LOW = 2,         /* there is a lower bound */
    TT_OP_FLAG_HIGH = 4,        /* there is an upper bound */
    TT_OP_FLAG_BIAS = 8,        /* the gradient of the bias is wanted */
    TT_OP_FLAG_WEIGHTS = 16,    /* the gradient of the weights is wanted */
    TT_OP_FLAG_ACCUMULATE = 32, /* the result is added to what is there */
    TT_OP_FLAG_RATE = 64,       /* the gradient is multiplied with minus the learning rate */
    TT_OP_FLAG_FISHER = 128,    /* TT_START of a model that only adds up Fisher potentials */
    TT_OP_FLAG_SEED = 256,      /* the model knows the commands ACCUMULATE and UPDATE */
    TT_OP_FLAG_ACTIVE = 512,    /* there is an input `active` */
    TT_OP_FLAG_VECTOR = 1024    /* the label is a vector of floats instead of int32[1] */
} tt_op_flag_t;

/* What one run is to do: the input tensor `command`. */
typedef enum {
    TT_COMMAND_PREDICT = 0,
    TT_COMMAND_TRAIN = 1,
    TT_COMMAND_ENROLL = 2, /* add the embedding to the prototype of its class */
    TT_COMMAND_FISHER = 3, /* add to the Fisher potentials; only in a model made for it */
    /* For losses that depend on many samples, in models with an input `seed`: */
    TT_COMMAND_ACCUMULATE = 4, /* a backward pass from `seed`, whose gradients are added to those that are there */
    TT_COMMAND_UPDATE = 5      /* update by the gradients added up so far, and clear them */
} tt_command_t;

/* Words of the tensor `control`. All 0 means: begin afresh, rows as in flash. */
enum {
    TT_CONTROL_INITIALISED = 0, /* 1 once the chosen rows have been copied into the pool */
    TT_CONTROL_STEPS = 1,       /* updates made */
    TT_CONTROL_SAMPLES = 2,     /* samples seen since the last update */
    TT_CONTROL_WORDS = 3
};

typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t op; /* tt_op_code_t */
    uint32_t guard_low;
    uint32_t guard_high;
    uint32_t flags; /* tt_op_flag_t, combined; flags that an op does not name are refused */
} tt_op_header_t;

/*
 * ACCUMULATE:         g, acc, active. acc += g.
 * COPY:               x, active -> y.
 * FISHER_POTENTIAL:   a, g, potential [channels], active. Adds to potential.
 * ADD, MULTIPLY:      a, b, active -> y.
 * SIGMOID_GRAD,
 * TANH_GRAD:          g, y, active -> dx.
 * HARD_SWISH_GRAD:    g, x, active -> dx.
 * MASK_GRAD:          g, mask int32[(n + 31) / 32], active -> dx.
 * MULTIPLY_CHANNEL:   x, gate [channels], active -> y.
 * CHANNEL_DOT:        a, b, active -> y [channels].
 * AFFINE:             x, scale [channels], shift [channels] -> y. No active: a forward op.
 * Flags: IN_PLACE, for those with a result of the size of their first input; COPY has none.
 */
typedef struct {
    tt_op_header_t header;
} tt_op_plain_t;

/*
 * CLIP:      x -> y. Flags IN_PLACE, LOW, HIGH. No active: a forward op.
 * CLIP_MASK: y, active -> mask int32[(n + 31) / 32]. Flags LOW, HIGH.
 * CLIP_GRAD: g, y, active -> dx. Flags IN_PLACE, LOW, HIGH.
 */
typedef struct {
    tt_op_header_t header;
    float low;  /* 0 without the flag */
    float high; /* 0 without the flag */
} tt_op_clip_t;

/*
 * EXPRESSION: operands [n] [, active] -> y [n], y = the expression of the operands, element by element. Flags IN_PLACE,
 * ACTIVE: there is an active, as for what belongs to the backward pass.
 */
typedef struct {
    tt_op_header_t header;
    tt_expression_t expression;
} tt_op_expression_t;

/* LEAKY_RELU_GRAD: g, y, active -> dx. Flag IN_PLACE. */
typedef struct {
    tt_op_header_t header;
    float alpha;
} tt_op_leaky_relu_t;

/* SOFTMAX_GRAD: g, y, active -> dx. Flag IN_PLACE. */
typedef struct {
    tt_op_header_t header;
    int32_t classes; /* length of the last axis */
} tt_op_softmax_t;

/* SLICE: x, active -> y; both as [outer, length], y the part of x that begins at offset. */
typedef struct {
    tt_op_header_t header;
    int32_t outer;
    int32_t offset;
} tt_op_slice_t;

/*
 * CROP2D, AVG_POOL_GRAD: g, active -> dx.
 * MAX_POOL_GRAD:         g, x, active -> dx.
 */
typedef struct {
    tt_op_header_t header;
    tt_window_t window;
} tt_op_window_t;

/*
 * CONV2D, DEPTHWISE_CONV2D:                       x, rows -> y; of a frozen layer x, filter, bias [O] -> y. Flags LOW,
 *                                                 HIGH. No active: the forward pass always runs.
 * CONV2D_GRAD_INPUT, DEPTHWISE_CONV2D_GRAD_INPUT: g, rows, active -> dx; with the flag ACCUMULATE g, rows, dx, active.
 */
typedef struct {
    tt_op_header_t header;
    tt_window_t window;
    int32_t stride;    /* floats of a row; of a frozen layer kh * kw * C, depthwise kh * kw */
    int32_t candidate; /* or TT_OP_FROZEN */
    int32_t copies;    /* blocks of a candidate's part of the pool; 0 for a frozen layer */
    float low;         /* 0 without the flag */
    float high;        /* 0 without the flag */
} tt_op_weighted_t;

/*
 * CONV2D_GRAD_WEIGHTS, DEPTHWISE_CONV2D_GRAD_WEIGHTS: x, g, pool, choice, [rate,] active [-> d [trained * stride]].
 * Flags BIAS, WEIGHTS (at least one), ACCUMULATE, RATE (adds a rate input). Without WEIGHTS nothing is read of x, which
 * then is any tensor of float32. With block 0, ACCUMULATE and RATE this is a whole step of plain SGD.
 */
typedef struct {
    tt_op_header_t header;
    tt_window_t window;
    int32_t stride;
    int32_t candidate;
    int32_t copies;
    int32_t block; /* of the candidate's part of the pool that takes the gradient, or TT_OP_NO_BLOCK: output d */
    float scale;   /* factor on the gradient; with RATE the learning rate for a rate of 0 */
} tt_op_grad_weights_t;

/*
 * SGD, MOMENTUM, ADAM: [gradient [trained * stride],] pool, choice, rate, control, updating. The input gradient is there
 * for block TT_OP_NO_BLOCK; else the block of gradients is cleared after the update. Moments are blocks 1 and 2 of the
 * candidate's part. The guard is compared with `updating`.
 */
typedef struct {
    tt_op_header_t header;
    int32_t channels; /* of the layer */
    int32_t stride;
    int32_t candidate;
    int32_t copies;
    int32_t block;       /* of the gradient, or TT_OP_NO_BLOCK */
    float learning_rate; /* for a rate of 0 */
    float momentum;      /* MOMENTUM, else 0 */
    float beta_1;        /* ADAM, else 0, like the two below */
    float beta_2;
    float epsilon;
} tt_op_optimizer_t;

/*
 * SOFTMAX_CROSS_ENTROPY: logits, label int32[1], command int32[1] -> loss [1], g. Flag IN_PLACE: g goes into logits and
 *                        only loss is an output. No label, no loss: PREDICT and ENROLL write NaN and leave g as it is.
 * PROTOTYPE_LOSS:        embedding, label int32[1], command int32[1], sums [classes, elements], counts int32[classes]
 *                        [, seed [elements]] -> loss [1], scores [classes], g. Flag SEED: there is a seed. Every command
 *                        writes the scores (-FLT_MAX for a class without samples, and for all by UPDATE, for which any
 *                        embedding will do, and by ENROLL where they are not finite), ENROLL adds to sums and counts before, TRAIN and FISHER write loss and g,
 *                        ACCUMULATE writes batch_size * seed to g, since the ops after it divide by the batch; a loss that
 *                        is not asked for is NaN.
 */
typedef struct {
    tt_op_header_t header;
    int32_t classes;
    int32_t elements;   /* of the embedding; SOFTMAX_CROSS_ENTROPY: classes */
    int32_t batch_size; /* samples of an update by TRAIN */
    float temperature;  /* SOFTMAX_CROSS_ENTROPY: 0 */
} tt_op_loss_t;

/*
 * LOSS: output [elements], label int32[1] or with the flag VECTOR [label_elements], command int32[1] -> loss [1], g. Calls
 * a loss of the build, see tt_build_losses.h. Flags IN_PLACE: g goes into output and only loss is an output; VECTOR. No
 * label, no loss, as SOFTMAX_CROSS_ENTROPY.
 */
typedef struct {
    tt_op_header_t header;
    int32_t elements;
    int32_t label_elements; /* 1 for a class */
    int32_t loss;           /* its id */
} tt_op_build_loss_t;

/*
 * START: label int32[1], command int32[1], choice, control, pool, base [O, stride] of every candidate -> active,
 * updating. The first op of a model. Refuses labels and commands out of range. Unless control says that it has been done,
 * copies the chosen rows from the bases into the pool, clears the rest of the candidates' parts, and counts steps and
 * samples from 0. Flag FISHER: command FISHER makes every candidate active. Without it TRAIN and ACCUMULATE make those
 * active of which a channel is chosen; UPDATE, and TRAIN where this sample completes a batch, makes them updating. Flag
 * SEED: ACCUMULATE and UPDATE are known; not together with FISHER. Flag VECTOR: the label is of any size, and not looked
 * at.
 */
typedef struct {
    tt_op_header_t header;
    int32_t candidates; /* 1 to TT_OP_CANDIDATES */
    int32_t copies;
    int32_t classes;
    int32_t batch_size;
} tt_op_start_t;

/*
 * FINISH: command int32[1], control. The last op of a model: counts the sample that TRAIN has shown, and the update if
 * there was one, after which samples are counted from 0.
 */
typedef struct {
    tt_op_header_t header;
    int32_t batch_size;
} tt_op_finish_t;

#ifdef __cplusplus
}
#endif

#endif /* TT_OP_PARAMS_H */
