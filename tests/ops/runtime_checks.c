/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks every function of the runtime over arrays of exactly the documented size, for the sanitisers to watch.
 * Numbers are compared with TensorFlow elsewhere; here only the statuses are.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_finite.h"
#include "tt_loss.h"
#include "tt_optimizer.h"
#include "tt_prototype.h"

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static float *floats(uint32_t count, float scale) {
    static uint32_t state = 1u;
    float *values = malloc(count * sizeof(float));
    EXPECT(values != NULL);
    for (uint32_t i = 0; i < count; ++i) {
        state = state * 1664525u + 1013904223u;
        values[i] = scale * ((float)(state >> 8) / 8388608.0f - 1.0f);
    }
    return values;
}

static void check_loss(uint32_t classes, float scale) {
    float *logits = floats(classes, scale);
    float *gradient = floats(classes, 0.0f);
    float *loss = floats(1u, 0.0f);
    for (uint32_t label = 0; label < classes; ++label) {
        EXPECT(tt_softmax_cross_entropy(logits, classes, label, gradient, loss) == TT_OK);
        EXPECT(tt_all_finite(gradient, classes) && tt_all_finite(loss, 1u) && *loss >= 0.0f);
    }
    EXPECT(tt_softmax_cross_entropy(logits, classes, 0u, NULL, loss) == TT_OK);
    EXPECT(tt_softmax_cross_entropy(logits, classes, classes, gradient, loss) == TT_ERROR_LABEL_OUT_OF_RANGE);
    EXPECT(tt_softmax_cross_entropy(logits, classes, 0u, logits, loss) == TT_OK);
    logits[classes - 1u] = (float)NAN;
    EXPECT(tt_softmax_cross_entropy(logits, classes, 0u, gradient, loss) == TT_ERROR_NOT_FINITE);
    free(logits);
    free(gradient);
    free(loss);
}

static void check_prototypes(uint32_t classes, uint32_t elements, float scale) {
    float *sums = floats(classes * elements, 1.0f);
    uint32_t *counts = malloc(classes * sizeof(uint32_t));
    float *scores = floats(classes, 0.0f);
    float *gradient = floats(elements, 0.0f);
    float *loss = floats(1u, 0.0f);
    float *embedding = floats(elements, scale);
    EXPECT(counts != NULL);
    const tt_prototypes_t prototypes = {sums, counts, classes, elements, 10.0f};
    EXPECT(tt_prototypes_reset(&prototypes) == TT_OK);
    EXPECT(tt_prototypes_scores(&prototypes, embedding, scores) == TT_ERROR_NOT_ENROLLED);
    for (uint32_t label = 0; label < classes; label += 2u) {
        float *sample = floats(elements, scale);
        EXPECT(tt_prototypes_enroll(&prototypes, sample, label) == TT_OK);
        free(sample);
    }
    EXPECT(tt_prototypes_scores(&prototypes, embedding, scores) == TT_OK);
    EXPECT(classes < 2u || scores[1] <= -FLT_MAX);
    EXPECT(tt_prototypes_loss(&prototypes, embedding, 0u, scores, gradient, loss) == TT_OK);
    EXPECT(tt_all_finite(gradient, elements) && *loss >= 0.0f);
    EXPECT(classes < 2u ||
           tt_prototypes_loss(&prototypes, embedding, 1u, scores, gradient, loss) == TT_ERROR_NOT_ENROLLED);
    embedding[elements - 1u] = (float)INFINITY;
    EXPECT(tt_prototypes_loss(&prototypes, embedding, 0u, scores, gradient, loss) == TT_ERROR_NOT_FINITE);
    EXPECT(tt_prototypes_enroll(&prototypes, embedding, 0u) == TT_ERROR_NOT_FINITE);
    free(sums);
    free(counts);
    free(scores);
    free(gradient);
    free(loss);
    free(embedding);
}

static void check_optimizers(uint32_t count) {
    float *row = floats(count, 1.0f);
    float *gradient = floats(count, 1.0f);
    float *first = floats(count, 0.0f);
    float *second = floats(count, 0.0f);
    static const float MOMENTUM[] = {0.01f, 0.9f};
    float adam[TT_ADAM_ELEMENTS] = {0.01f, 0.9f, 0.999f, 1e-7f, 1.0f, 1.0f};
    for (uint32_t step = 0; step < 10u; ++step) {
        tt_sgd_update(row, gradient, count, MOMENTUM);
        tt_momentum_update(row, first, gradient, count, MOMENTUM);
    }
    memset(first, 0, count * sizeof(float));
    for (uint32_t step = 0; step < 10u; ++step) {
        tt_adam_next_step(adam);
        tt_adam_update(row, first, second, gradient, count, adam);
    }
    EXPECT(tt_all_finite(row, count));
    free(row);
    free(gradient);
    free(first);
    free(second);
}

int main(void) {
    static const float SCALES[] = {0.0f, 1.0f, 1e4f};
    for (uint32_t size = 1u; size < 20u; ++size) {
        for (uint32_t i = 0; i < sizeof SCALES / sizeof SCALES[0]; ++i) {
            check_loss(size, SCALES[i]);
            check_prototypes(size, 3u * size, SCALES[i]);
        }
        check_optimizers(size);
    }
    EXPECT(strcmp(tt_status_text(TT_OK), "ok") == 0);
    return 0;
}
