/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of train.tflite, aligned as its readers need them. */
#ifndef TT_TRAIN_MODEL_H
#define TT_TRAIN_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const uint8_t tt_train_model[];

#ifdef __cplusplus
}
#endif

#endif /* TT_TRAIN_MODEL_H */
