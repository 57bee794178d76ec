/* SPDX-License-Identifier: Apache-2.0 */
/* TensorFlow Lite Micro as an engine of the runtime: for the sources of a build, not for applications. */
#ifndef TT_ENGINE_TFLM_H
#define TT_ENGINE_TFLM_H

#include <stdint.h>

#include "tt_model_type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A place that a model has not. */
#define TT_NO_PLACE UINT8_MAX

/* What train.tflite and fisher.tflite have where: numbers of their inputs and outputs. Inputs 0, 1 and 2 of every model
 * are x, label and command. */
struct tt_interpreted {
    const uint8_t *const *models; /* [model_count]: train.tflite, then fisher.tflite; 16-byte aligned */
    const uint8_t *shared;        /* [shared_count][2]: input of fisher.tflite, and that of train.tflite it mirrors */
    uint32_t model_count;
    uint32_t shared_count;
    uint32_t copies; /* blocks of a layer's part of the pool: rows, moments, gradient */
    uint8_t in_pool;
    uint8_t in_control;
    uint8_t in_rate;
    uint8_t in_choice;
    uint8_t in_sums;
    uint8_t in_counts;
    uint8_t in_seed;
    uint8_t out_output; /* scores or embedding */
    uint8_t out_loss;
    uint8_t first_potential; /* input of fisher.tflite: that of the first candidate; the others follow */
};

extern const tt_engine_t tt_engine_tflm;

#ifdef __cplusplus
}
#endif

#endif /* TT_ENGINE_TFLM_H */
