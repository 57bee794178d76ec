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
 * The arrays of one call are not NULL (unless count is 0) and do not overlap. Nothing is checked here:
 * these run once per row inside a train step, whose caller has checked its pointers once, and a value
 * that is not finite spreads into the row.
 */

/* row -= learning_rate * gradient */
void tt_sgd_update(float *row, const float *gradient, uint32_t count, float learning_rate);

/* velocity = momentum * velocity - learning_rate * gradient;  row += velocity */
void tt_momentum_update(float *row, float *velocity, const float *gradient, uint32_t count, float learning_rate,
                        float momentum);

/*
 * Settings of Adam and the powers of its decay rates, shared by all rows of a build.
 * beta_1_power and beta_2_power start at 1 and are advanced by tt_adam_next_step.
 */
typedef struct {
    float learning_rate; /* finite, >= 0 */
    float beta_1;        /* [0, 1) */
    float beta_2;        /* [0, 1) */
    float epsilon;       /* above 0 */
    float beta_1_power;  /* beta_1 to the number of steps begun */
    float beta_2_power;  /* beta_2 to the number of steps begun */
} tt_adam_t;

/* Begins a step: to be called once, before the rows of the step are updated. adam: in and out, not NULL. */
void tt_adam_next_step(tt_adam_t *adam);

/*
 * first_moment  += (gradient - first_moment) * (1 - beta_1)
 * second_moment += (gradient * gradient - second_moment) * (1 - beta_2)
 * row -= alpha * first_moment / (sqrt(second_moment) + epsilon),
 *        alpha = learning_rate * sqrt(1 - beta_2_power) / (1 - beta_1_power)
 *
 * adam: in, not NULL; inside a step, that is, after at least one tt_adam_next_step.
 */
void tt_adam_update(float *row, float *first_moment, float *second_moment, const float *gradient, uint32_t count,
                    const tt_adam_t *adam);

#ifdef __cplusplus
}
#endif

#endif /* TT_OPTIMIZER_H */
