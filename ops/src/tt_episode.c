/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_episode.h"

#include <math.h>
#include <string.h>

#include "tt_finite.h"
#include "tt_prototype.h"

#define TT_SMALLEST_NORM 1e-6f /* as in tt_prototype.h */

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

/* The first support sample of an enrolled class. */
static uint32_t first_of(const uint32_t *labels, uint32_t label) {
    uint32_t sample = 0;
    while (labels[sample] != label) {
        ++sample;
    }
    return sample;
}

static tt_status_t enroll(const tt_prototypes_t *prototypes, const float *embeddings, const uint32_t *labels,
                          uint32_t n_support) {
    tt_status_t status = tt_prototypes_reset(prototypes);
    for (uint32_t s = 0; s < n_support && status == TT_OK; ++s) {
        status = tt_prototypes_enroll(prototypes, &embeddings[(size_t)s * prototypes->elements], labels[s]);
    }
    return status;
}

static tt_status_t check_queries(const tt_prototypes_t *prototypes, const float *queries, const uint32_t *labels,
                                 uint32_t n_query) {
    for (uint32_t q = 0; q < n_query; ++q) {
        if (labels[q] >= prototypes->classes) {
            return TT_ERROR_LABEL_OUT_OF_RANGE;
        }
        if (prototypes->counts[labels[q]] == 0u) {
            return TT_ERROR_NOT_ENROLLED;
        }
        if (!tt_all_finite(&queries[(size_t)q * prototypes->elements], prototypes->elements)) {
            return TT_ERROR_NOT_FINITE;
        }
    }
    return TT_OK;
}

/*
 * Adds a query's part to the direction in which each prototype is pulled: grad_score * query / max(|query|, 1e-6). What
 * depends on the prototype alone is common to all queries and follows in finish_support.
 */
static void pull_prototypes(const tt_prototypes_t *prototypes, const float *query, const float *grad_scores,
                            const uint32_t *labels, float *support) {
    const uint32_t elements = prototypes->elements;
    const float scale = 1.0f / clamped(sqrtf(dot(query, query, elements)));
    for (uint32_t c = 0; c < prototypes->classes; ++c) {
        if (prototypes->counts[c] == 0u) {
            continue;
        }
        float *pull = &support[(size_t)first_of(labels, c) * elements];
        const float weight = scale * grad_scores[c];
        for (uint32_t i = 0; i < elements; ++i) {
            pull[i] += weight * query[i];
        }
    }
}

/* Turns the pulls into gradients, and gives every support sample that of its class: the mean weighs all alike. */
static void finish_support(const tt_prototypes_t *prototypes, const uint32_t *labels, uint32_t n_support,
                           uint32_t n_query, float *support) {
    const uint32_t elements = prototypes->elements;
    for (uint32_t s = 0; s < n_support; ++s) {
        float *gradient = &support[(size_t)s * elements];
        const uint32_t first = first_of(labels, labels[s]);
        if (first < s) {
            memcpy(gradient, &support[(size_t)first * elements], elements * sizeof(float));
            continue;
        }
        const float *sum = &prototypes->sums[(size_t)labels[s] * elements];
        const float count = (float)prototypes->counts[labels[s]];
        const float squares = dot(sum, sum, elements);
        const float norm = sqrtf(squares) / count;
        /* The cosine does not change along the prototype, except where its norm is clamped and so constant. */
        const float along = norm < TT_SMALLEST_NORM ? 0.0f : dot(gradient, sum, elements) / squares;
        const float scale = prototypes->temperature / (clamped(norm) * count * (float)n_query);
        for (uint32_t i = 0; i < elements; ++i) {
            gradient[i] = scale * (gradient[i] - along * sum[i]);
        }
    }
}

size_t tt_episode_scratch_floats(uint32_t classes, uint32_t elements) {
    return (size_t)classes * ((size_t)elements + 2u) + elements;
}

tt_status_t tt_episode_gradient(float *embeddings, const uint32_t *labels, uint32_t n_support, uint32_t n_query,
                                uint32_t classes, uint32_t elements, float temperature, void *scratch, float *loss) {
    if (embeddings == NULL || labels == NULL || scratch == NULL || loss == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (n_support == 0u || n_query == 0u) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    float *sums = scratch;
    float *scores = sums + (size_t)classes * elements;
    float *grad_query = scores + classes;
    uint32_t *counts = (uint32_t *)(void *)(grad_query + elements);
    const tt_prototypes_t prototypes = {sums, counts, classes, elements, temperature};
    const uint32_t *query_labels = labels + n_support;
    float *queries = embeddings + (size_t)n_support * elements;

    tt_status_t status = enroll(&prototypes, embeddings, labels, n_support);
    if (status == TT_OK) {
        status = check_queries(&prototypes, queries, query_labels, n_query);
    }
    if (status != TT_OK) {
        return status;
    }

    /* From here on the support embeddings are in the prototypes; their place holds the pulls on these. */
    memset(embeddings, 0, (size_t)n_support * elements * sizeof(float));
    float total = 0.0f;
    for (uint32_t q = 0; q < n_query; ++q) {
        float *query = &queries[(size_t)q * elements];
        float query_loss;
        status = tt_prototypes_loss(&prototypes, query, query_labels[q], scores, grad_query, &query_loss);
        if (status != TT_OK) {
            return status;
        }
        total += query_loss;
        pull_prototypes(&prototypes, query, scores, labels, embeddings);
        for (uint32_t i = 0; i < elements; ++i) {
            query[i] = grad_query[i] / (float)n_query;
        }
    }
    finish_support(&prototypes, labels, n_support, n_query, embeddings);
    *loss = total / (float)n_query;
    return TT_OK;
}

float tt_episode_tightness(const float *embeddings, const uint32_t *labels, uint32_t n_samples, uint32_t classes,
                           uint32_t elements, float *scratch) {
    float total = 0.0f;
    uint32_t counted = 0u;
    for (uint32_t c = 0; c < classes; ++c) {
        uint32_t members = 0u;
        float length = 0.0f; /* squared lengths of the unit vectors: 1 each, but for embeddings next to 0 */
        memset(scratch, 0, elements * sizeof(float));
        for (uint32_t s = 0; s < n_samples; ++s) {
            if (labels[s] != c) {
                continue;
            }
            const float *embedding = &embeddings[(size_t)s * elements];
            const float norm = sqrtf(dot(embedding, embedding, elements));
            const float scale = 1.0f / clamped(norm);
            for (uint32_t i = 0; i < elements; ++i) {
                scratch[i] += scale * embedding[i];
            }
            length += (scale * norm) * (scale * norm);
            ++members;
        }
        if (members > 1u) {
            total += (dot(scratch, scratch, elements) - length) / ((float)members * (float)(members - 1u));
            ++counted;
        }
    }
    const float mean = counted > 0u ? total / (float)counted : 1.0f;
    return tt_all_finite(&mean, 1u) ? mean : 1.0f;
}

float tt_episode_rate(float tightness) {
    const float share = (tightness - TT_EPISODE_SPREAD) / (TT_EPISODE_TIGHT - TT_EPISODE_SPREAD);
    return share < TT_EPISODE_LEAST_RATE ? TT_EPISODE_LEAST_RATE : share > 1.0f ? 1.0f : share;
}
