/* SPDX-License-Identifier: Apache-2.0 */
/* What float32 and int8 builds share where the board chooses; not for applications. */
#ifndef TT_ENGINE_CHOSEN_H
#define TT_ENGINE_CHOSEN_H

#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the rows of a layer, which lie at session->rows[layer].pool, and returns where those of the next one go. */
typedef float *(*tt_start_layer_t)(tt_session_t *session, uint32_t layer);

/* Places the chosen rows of every layer in the row pool. */
void tt_lay_out_chosen(tt_session_t *session, tt_start_layer_t start);

/* Clears moments and gradients of a layer and returns what follows them. */
float *tt_end_of_parts(const tt_session_t *session, uint32_t layer);

#ifdef __cplusplus
}
#endif

#endif /* TT_ENGINE_CHOSEN_H */
