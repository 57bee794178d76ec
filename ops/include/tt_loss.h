/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_LOSS_H
#define TT_LOSS_H

#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Cross-entropy of softmax(logits) with one true class, and its gradient with respect to the logits:
 *
 *     loss = log(sum_c exp(logits[c])) - logits[label]
 *     grad_logits[c] = softmax(logits)[c] - (c == label)
 *
 * Stable for logits of any finite size: exponents are taken of differences to the largest logit, and
 * the loss and the gradient of a nearly certain class are formed from what is left for the others
 * instead of as a difference of numbers close to 1.
 *
 * logits:      in, [classes], finite; -FLT_MAX excludes a class (probability and gradient 0).
 * classes:     at least 1.
 * label:       below classes.
 * grad_logits: out, [classes], or NULL when only the loss is wanted; may be the same array as logits,
 *              may not overlap it in another way.
 * loss:        out, one value in nats, >= 0.
 *
 * Returns TT_OK; TT_ERROR_NULL_POINTER (logits, loss); TT_ERROR_INVALID_ARGUMENT (classes 0);
 * TT_ERROR_LABEL_OUT_OF_RANGE; TT_ERROR_NOT_FINITE (a logit, or the distance of the label's logit from
 * the largest, is not finite). On an error nothing is written.
 */
TT_COLD tt_status_t tt_softmax_cross_entropy(const float *logits, uint32_t classes, uint32_t label, float *grad_logits,
                                             float *loss);

struct tt_session;

/* What a label is. */
typedef enum {
    TT_LABEL_CLASS = 0,  /* a class: a number below classes */
    TT_LABEL_VECTOR = 1, /* a vector of label_elements floats */
    TT_LABEL_NONE = 2    /* nothing: the loss is of the input and the output alone */
} tt_label_t;

/* A loss, as the runtime works by it; one for each file of losses. */
typedef struct {
    const char *name;
    tt_label_t label;
    /* Whether a class can be trained towards now; NULL where every class below classes can. */
    tt_status_t (*check)(const struct tt_session *session, uint32_t label);
    /* What tt_predict gives for an output; NULL: the output itself. */
    tt_status_t (*scores)(const struct tt_session *session, const float *output, float *scores);
    /*
     * The loss of an output with session->label or session->target, and its gradient.
     * gradient: out, [output_elements]; scratch: [classes]; loss: out. TT_ERROR_NOT_FINITE: loss is of no use.
     */
    tt_status_t (*gradient)(const struct tt_session *session, const float *output, float *gradient, float *scratch,
                            float *loss);
} tt_loss_t;

#ifdef __cplusplus
}
#endif

#endif /* TT_LOSS_H */
