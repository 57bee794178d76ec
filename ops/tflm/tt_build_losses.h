/* SPDX-License-Identifier: Apache-2.0 */
/* The losses that TFLM's op TT_LOSS calls: those of a build that have no op of their own. */
#ifndef TT_BUILD_LOSSES_H
#define TT_BUILD_LOSSES_H

#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* output, gradient: [elements], may be one array; loss: out. See tt_tflm/losses/loss.py. */
typedef tt_status_t (*tt_class_loss_t)(const float *output, uint32_t elements, uint32_t label, float *gradient,
                                       float *loss);
/* target: [label_elements] */
typedef tt_status_t (*tt_vector_loss_t)(const float *output, uint32_t elements, const float *target, float *gradient,
                                        float *loss);

typedef struct {
    int32_t id; /* CRC-32 of its name, which models hold */
    tt_class_loss_t of_class;
    tt_vector_loss_t of_vector;
} tt_build_loss_t;

/* The losses, up to one without a function: a generated source of the build. NULL counts as none. */
const tt_build_loss_t *tt_build_losses(void);

#ifdef __cplusplus
}
#endif

#endif /* TT_BUILD_LOSSES_H */
