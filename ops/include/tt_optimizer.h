/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_OPTIMIZER_H
#define TT_OPTIMIZER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One step of an optimiser on one run of weights, with the update rules of Keras.
 *
 * row, velocity, first_moment, second_moment: in and out, [count], caller-owned; the moments start at 0.
 * gradient: in, [count]; the mean over the samples of the step.
 * hyper: the numbers of the optimiser, the learning rate (finite, >= 0) first.
 * The arrays of one call are not NULL (unless count is 0) and do not overlap. Nothing is checked here:
 * these run once per row inside a train step, whose caller has checked its pointers once, and a value
 * that is not finite spreads into the row.
 */

/* hyper: [1]: learning_rate. row -= learning_rate * gradient */
void tt_sgd_update(float *row, const float *gradient, uint32_t count, const float *hyper);

/*
 * hyper: [2]: learning_rate, momentum in [0, 1).
 * velocity = momentum * velocity - learning_rate * gradient;  row += velocity
 */
void tt_momentum_update(float *row, float *velocity, const float *gradient, uint32_t count, const float *hyper);

/* The numbers of Adam: what beta_1 and beta_2 are to the power of the steps begun starts at 1. */
enum {
    TT_ADAM_LEARNING_RATE = 0,
    TT_ADAM_BETA_1 = 1,  /* [0, 1) */
    TT_ADAM_BETA_2 = 2,  /* [0, 1) */
    TT_ADAM_EPSILON = 3, /* above 0 */
    TT_ADAM_BETA_1_POWER = 4,
    TT_ADAM_BETA_2_POWER = 5,
    TT_ADAM_ELEMENTS = 6
};

/* Begins a step: to be called once, before the rows of the step are updated. hyper: in and out, [TT_ADAM_ELEMENTS]. */
void tt_adam_next_step(float *hyper);

/*
 * first_moment  += (gradient - first_moment) * (1 - beta_1)
 * second_moment += (gradient * gradient - second_moment) * (1 - beta_2)
 * row -= alpha * first_moment / (sqrt(second_moment) + epsilon),
 *        alpha = learning_rate * sqrt(1 - beta_2_power) / (1 - beta_1_power)
 *
 * hyper: in, [TT_ADAM_ELEMENTS], inside a step, that is, after at least one tt_adam_next_step.
 */
void tt_adam_update(float *row, float *first_moment, float *second_moment, const float *gradient, uint32_t count,
                    const float *hyper);

/*
 * An optimiser, as the runtime works by it; one for each file of optimisers. Its numbers are an array of hyper_elements
 * floats: the learning rate first, then its constants, then what it counts.
 */
typedef struct {
    const char *name;
    uint32_t hyper_elements;         /* at least 1 */
    void (*restart)(float *hyper);   /* the moments are 0 again; NULL where nothing is counted */
    void (*next_step)(float *hyper); /* an update begins; NULL where nothing is counted */
} tt_optimizer_t;

#ifdef __cplusplus
}
#endif

#endif /* TT_OPTIMIZER_H */
