/* SPDX-License-Identifier: Apache-2.0 */
/* Saving and loading in simulations: a storage in RAM, and states that come from elsewhere. */
#ifndef TT_SIM_STATE_H
#define TT_SIM_STATE_H

#include <stdint.h>

#include "tt_sim_model.h"

/* Bytes of a storage for the states of a build. */
#define TT_SIM_STORAGE_BYTES (2u * ((TT_MODEL_STATE_BYTES + 7u) / 8u * 8u))

uint32_t tt_sim_storage_bytes(void);

/*
 * tt_save to a storage in memory, [TT_SIM_STORAGE_BYTES].
 * offset, bytes: out, where the new state lies in the memory.
 */
tt_status_t tt_sim_save(tt_session_t *session, uint8_t *memory, uint32_t *offset, uint32_t *bytes);

/* tt_load from a storage in memory, [TT_SIM_STORAGE_BYTES]. */
tt_status_t tt_sim_load(tt_session_t *session, uint8_t *memory);

#endif /* TT_SIM_STATE_H */
