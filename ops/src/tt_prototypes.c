/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_prototype.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tt_finite.h"
#include "tt_loss.h"

#define TT_SMALLEST_NORM 1e-6f

static tt_status_t check(const tt_prototypes_t *prototypes) {
    if (prototypes == NULL || prototypes->sums == NULL || prototypes->counts == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (prototypes->classes == 0u || prototypes->elements == 0u || !(prototypes->temperature > 0.0f) ||
        !tt_all_finite(&prototypes->temperature, 1u)) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    return TT_OK;
}

static float dot(const float *a, const float *b, uint32_t elements) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < elements; ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

static float clamped(float norm) {
    return norm < TT_SMALLEST_NORM ? TT_SMALLEST_NORM : norm;
}

static const float *sum_of(const tt_prototypes_t *prototypes, uint32_t label) {
    return &prototypes->sums[(size_t)label * prototypes->elements];
}

/* What a component of the class's sum is multiplied with to become one of p / max(|p|, 1e-6). */
static float unit_scale(const tt_prototypes_t *prototypes, uint32_t label) {
    const float *sum = sum_of(prototypes, label);
    const float count = (float)prototypes->counts[label];
    return 1.0f / (count * clamped(sqrtf(dot(sum, sum, prototypes->elements)) / count));
}

tt_status_t tt_prototypes_reset(const tt_prototypes_t *prototypes) {
    const tt_status_t status = check(prototypes);
    if (status != TT_OK) {
        return status;
    }
    for (uint32_t c = 0; c < prototypes->classes; ++c) {
        prototypes->counts[c] = 0u;
        memset(&prototypes->sums[(size_t)c * prototypes->elements], 0, prototypes->elements * sizeof(float));
    }
    return TT_OK;
}

tt_status_t tt_prototypes_enroll(const tt_prototypes_t *prototypes, const float *embedding, uint32_t label) {
    const tt_status_t status = check(prototypes);
    if (status != TT_OK) {
        return status;
    }
    if (embedding == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (label >= prototypes->classes) {
        return TT_ERROR_LABEL_OUT_OF_RANGE;
    }
    float *sum = &prototypes->sums[(size_t)label * prototypes->elements];
    float squares = 0.0f;
    for (uint32_t i = 0; i < prototypes->elements; ++i) {
        const float next = sum[i] + embedding[i];
        squares += next * next;
    }
    if (!tt_all_finite(&squares, 1u)) {
        return TT_ERROR_NOT_FINITE; /* no embedding could be compared with it */
    }
    for (uint32_t i = 0; i < prototypes->elements; ++i) {
        sum[i] += embedding[i];
    }
    prototypes->counts[label] += 1u;
    return TT_OK;
}

bool tt_prototypes_can_compare(const tt_prototypes_t *prototypes, const float *embedding) {
    const float squares = dot(embedding, embedding, prototypes->elements);
    return tt_all_finite(&squares, 1u);
}

tt_status_t tt_prototypes_scores(const tt_prototypes_t *prototypes, const float *embedding, float *scores) {
    const tt_status_t status = check(prototypes);
    if (status != TT_OK) {
        return status;
    }
    if (embedding == NULL || scores == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    bool enrolled = false;
    for (uint32_t c = 0; c < prototypes->classes; ++c) {
        enrolled = enrolled || prototypes->counts[c] > 0u;
    }
    if (!enrolled) {
        return TT_ERROR_NOT_ENROLLED;
    }
    const float norm = sqrtf(dot(embedding, embedding, prototypes->elements));
    const float factor = prototypes->temperature / clamped(norm);
    bool finite = tt_all_finite(&norm, 1u);
    for (uint32_t c = 0; c < prototypes->classes; ++c) {
        if (prototypes->counts[c] == 0u) {
            scores[c] = -FLT_MAX;
            continue;
        }
        const float scale = unit_scale(prototypes, c);
        scores[c] = factor * (scale * dot(embedding, sum_of(prototypes, c), prototypes->elements));
        /* Squares that overflow leave a scale of 0 and so a score that looks harmless. */
        finite = finite && scale > 0.0f && tt_all_finite(&scores[c], 1u);
    }
    return finite ? TT_OK : TT_ERROR_NOT_FINITE;
}

tt_status_t tt_prototypes_loss(const tt_prototypes_t *prototypes, const float *embedding, uint32_t label,
                               float *scores_scratch, float *grad_embedding, float *loss) {
    tt_status_t status = check(prototypes);
    if (status != TT_OK) {
        return status;
    }
    if (grad_embedding == NULL || loss == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (label >= prototypes->classes) {
        return TT_ERROR_LABEL_OUT_OF_RANGE;
    }
    status = tt_prototypes_scores(prototypes, embedding, scores_scratch);
    if (status != TT_OK) {
        return status;
    }
    if (prototypes->counts[label] == 0u) {
        return TT_ERROR_NOT_ENROLLED;
    }
    status = tt_softmax_cross_entropy(scores_scratch, prototypes->classes, label, scores_scratch, loss);
    if (status != TT_OK) {
        return status;
    }

    const uint32_t elements = prototypes->elements;
    const float norm = sqrtf(dot(embedding, embedding, elements));
    const float factor = prototypes->temperature / clamped(norm);
    memset(grad_embedding, 0, elements * sizeof(float));
    for (uint32_t c = 0; c < prototypes->classes; ++c) {
        if (prototypes->counts[c] > 0u) {
            const float *sum = sum_of(prototypes, c);
            const float weight = factor * scores_scratch[c] * unit_scale(prototypes, c);
            for (uint32_t i = 0; i < elements; ++i) {
                grad_embedding[i] += weight * sum[i];
            }
        }
    }
    /* The cosine does not change along the embedding, except where its norm is clamped and so constant. */
    if (norm >= TT_SMALLEST_NORM) {
        const float along = dot(grad_embedding, embedding, elements) / (norm * norm);
        for (uint32_t i = 0; i < elements; ++i) {
            grad_embedding[i] -= along * embedding[i];
        }
    }
    return TT_OK;
}
