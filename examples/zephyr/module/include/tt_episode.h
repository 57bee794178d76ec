/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_EPISODE_H
#define TT_EPISODE_H

#include <stddef.h>
#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Scratch that tt_episode_gradient needs, in floats of 4 bytes: classes * (elements + 2) + elements.
 * Runs on the host too.
 */
size_t tt_episode_scratch_floats(uint32_t classes, uint32_t elements);

/*
 * The loss of an episode and its exact gradient with respect to every embedding.
 *
 *     p_c  = mean of the support embeddings of class c
 *     s_qc = temperature * dot(e_q, p_c) / (max(|e_q|, 1e-6) * max(|p_c|, 1e-6))
 *     loss = mean over the queries q of the cross-entropy of softmax(s_q) with the label of q
 *
 * The gradient runs through the prototypes into the support embeddings, too; tt_prototypes_loss holds them constant
 * instead. Classes without support take no part. Each gradient is then the seed of one backward pass, and the sum of
 * what these passes give for the weights is the exact gradient of the episode, with one sample in memory at a time.
 *
 * embeddings:  in and out, [n_support + n_query][elements], the support first, finite, sizes as in tt_prototype.h;
 *              afterwards the gradient with respect to each.
 * labels:      in, [n_support + n_query], each below classes; the class of every query has support.
 * n_support:   at least 1.
 * n_query:     at least 1.
 * classes:     at least 1.
 * elements:    length of an embedding, at least 1.
 * temperature: factor on the cosine, finite and above 0.
 * scratch:     scratch of tt_episode_scratch_floats(classes, elements) floats, 4-byte aligned; raw storage such as a
 *              part of an arena, since integers are kept in it as well; caller-owned.
 * loss:        out, one value in nats, >= 0.
 * The four arrays do not overlap.
 *
 * Returns TT_OK; TT_ERROR_NULL_POINTER; TT_ERROR_INVALID_ARGUMENT (a size or the temperature out of range);
 * TT_ERROR_LABEL_OUT_OF_RANGE; TT_ERROR_NOT_ENROLLED (a query whose class has no support); TT_ERROR_NOT_FINITE (an
 * embedding, or what arises from it). On an error the loss is as before, and so are the embeddings, unless numbers ran
 * over on the way (TT_ERROR_NOT_FINITE with finite embeddings): then the embeddings are of no use.
 */
tt_status_t tt_episode_gradient(float *embeddings, const uint32_t *labels, uint32_t n_support, uint32_t n_query,
                                uint32_t classes, uint32_t elements, float temperature, void *scratch, float *loss);

/*
 * How alike the samples of a class are: the mean cosine of two embeddings of one class, over all pairs of a class and
 * then over the classes with at least two samples.
 *
 *     (|sum of the unit vectors|^2 - n) / (n (n - 1)),  embeddings shorter than 1e-6 counting as 0
 *
 * A network that spreads a class widely knows its domain; one to which everything looks alike has yet to learn it.
 *
 * embeddings: in, [n_samples][elements].
 * labels:     in, [n_samples], each below classes.
 * n_samples:  at least 1.
 * classes:    at least 1.
 * elements:   length of an embedding, at least 1.
 * scratch:    elements floats; caller-owned. It overlaps neither array.
 *
 * Returns the mean, -1 .. 1; 1 where no class has two samples or an embedding is not finite. Nothing is checked here.
 */
float tt_episode_tightness(const float *embeddings, const uint32_t *labels, uint32_t n_samples, uint32_t classes,
                           uint32_t elements, float *scratch);

/*
 * The share of the learning rate that an adaptation takes by the tightness of its support set: TT_EPISODE_LEAST_RATE up
 * to a tightness of TT_EPISODE_SPREAD, 1 from TT_EPISODE_TIGHT on, linear in between.
 */
float tt_episode_rate(float tightness);

#define TT_EPISODE_SPREAD 0.40f
#define TT_EPISODE_TIGHT 0.55f
#define TT_EPISODE_LEAST_RATE 0.03f

#ifdef __cplusplus
}
#endif

#endif /* TT_EPISODE_H */
