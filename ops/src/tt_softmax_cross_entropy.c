/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_loss.h"

#include <math.h>
#include <stddef.h>

#include "tt_finite.h"

tt_status_t tt_softmax_cross_entropy(const float *logits, uint32_t classes, uint32_t label, float *grad_logits,
                                     float *loss) {
    if (logits == NULL || loss == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (classes == 0u) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    if (label >= classes) {
        return TT_ERROR_LABEL_OUT_OF_RANGE;
    }
    if (!tt_all_finite(logits, classes)) {
        return TT_ERROR_NOT_FINITE;
    }

    float largest = logits[0];
    for (uint32_t c = 1; c < classes; ++c) {
        if (logits[c] > largest) {
            largest = logits[c];
        }
    }
    const float label_distance = largest - logits[label];
    if (!tt_all_finite(&label_distance, 1u)) {
        return TT_ERROR_NOT_FINITE;
    }

    float others = 0.0f;
    for (uint32_t c = 0; c < classes; ++c) {
        const float exponential = expf(logits[c] - largest);
        if (c != label) {
            others += exponential;
        }
        if (grad_logits != NULL) {
            grad_logits[c] = exponential;
        }
    }
    const float of_label = expf(-label_distance);
    const float sum = others + of_label;

    /* With the label's logit the largest, the sum is 1 + others: log1pf keeps a small loss exact. */
    *loss = label_distance > 0.0f ? logf(sum) + label_distance : log1pf(others);
    if (grad_logits != NULL) {
        for (uint32_t c = 0; c < classes; ++c) {
            grad_logits[c] /= sum;
        }
        grad_logits[label] = -(others / sum);
    }
    return TT_OK;
}
