/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_PROTOTYPE_H
#define TT_PROTOTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Class prototypes: the mean embedding of the samples enrolled so far for each class.
 * The caller owns both arrays; they persist between calls and are changed by reset and enroll only.
 */
typedef struct {
    float *sums;       /* [classes][elements]: sum of the enrolled embeddings of each class */
    uint32_t *counts;  /* [classes]: number of enrolled embeddings of each class */
    uint32_t classes;  /* at least 1 */
    uint32_t elements; /* length of an embedding, at least 1 */
    float temperature; /* factor on the cosine, finite and above 0 */
} tt_prototypes_t;

/*
 * Every function below returns TT_ERROR_NULL_POINTER for a NULL pointer (in the struct, too) and
 * TT_ERROR_INVALID_ARGUMENT for a struct outside the ranges above, besides what it names itself.
 * On an error the prototypes are as before, and what an output array holds is of no use.
 *
 * The cosine is dot(e, p) / (max(|e|, 1e-6) * max(|p|, 1e-6)), p being the mean of the class.
 * Norms are formed in single precision: |value| has to stay below about 1e18.
 */

/* Forgets every enrolled sample. */
tt_status_t tt_prototypes_reset(const tt_prototypes_t *prototypes);

/*
 * Adds one sample to its class.
 *
 * embedding: in, [elements], finite.
 * label:     below classes.
 * Returns also TT_ERROR_LABEL_OUT_OF_RANGE; TT_ERROR_NOT_FINITE (the embedding, the sum with it, or its
 * norm, without which nothing could be compared with it).
 */
tt_status_t tt_prototypes_enroll(const tt_prototypes_t *prototypes, const float *embedding, uint32_t label);

/* Whether an embedding is finite and has a norm that is. embedding: in, [elements]. */
bool tt_prototypes_can_compare(const tt_prototypes_t *prototypes, const float *embedding);

/*
 * Scores of all classes: temperature * cosine(embedding, prototype).
 *
 * embedding: in, [elements], finite; not overlapping scores.
 * scores:    out, [classes]; a class without samples gets -FLT_MAX.
 * Returns also TT_ERROR_NOT_ENROLLED (no class has a sample); TT_ERROR_NOT_FINITE.
 */
tt_status_t tt_prototypes_scores(const tt_prototypes_t *prototypes, const float *embedding, float *scores);

/*
 * Cross-entropy of softmax(scores) over the enrolled classes, and its gradient with respect to the
 * embedding; the prototypes count as constants.
 *
 * embedding:      in, [elements], finite.
 * label:          below classes, with at least one enrolled sample.
 * scores_scratch: scratch, [classes]; holds the gradient with respect to the scores afterwards.
 * grad_embedding: out, [elements].
 * loss:           out, one value in nats, >= 0.
 * The four arrays do not overlap.
 * Returns also TT_ERROR_LABEL_OUT_OF_RANGE; TT_ERROR_NOT_ENROLLED (the label's class has no sample);
 * TT_ERROR_NOT_FINITE.
 */
tt_status_t tt_prototypes_loss(const tt_prototypes_t *prototypes, const float *embedding, uint32_t label,
                               float *scores_scratch, float *grad_embedding, float *loss);

#ifdef __cplusplus
}
#endif

#endif /* TT_PROTOTYPE_H */
