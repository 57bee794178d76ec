/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and saving of states share; not for applications. */
#ifndef TT_STATE_PARTS_H
#define TT_STATE_PARTS_H

#include "tt_state.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "saved states are little-endian: numbers would have to be turned round on this core"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TT_STATE_SLOTS 2u
#define TT_STATE_ENTRY_BYTES 8u
#define TT_STATE_CRC_BYTES 4u

/* A layer in the plan of a state. */
typedef struct {
    uint16_t number;
    uint16_t chosen;
    uint32_t stride;
} tt_state_entry_t;

/* What the two slots hold. */
typedef struct {
    tt_state_slot_t slots[TT_STATE_SLOTS];
    bool complete[TT_STATE_SLOTS];
    bool ours[TT_STATE_SLOTS];
    bool failed[TT_STATE_SLOTS]; /* could not be read to the end */
} tt_state_survey_t;

/* Bytes of a plan's chosen channels, padding included. */
uint32_t tt_state_channel_bytes(uint32_t channels);

/* Channels that the plan of state has chosen, of all layers. */
uint32_t tt_state_chosen_channels(const tt_state_t *state);

/* The errors of tt_state_save that the storage alone decides. storage: in, may be NULL. */
tt_status_t tt_state_check_storage(const tt_storage_t *storage);

/* Bytes of one slot, in whole blocks. storage: in, checked, as below. */
uint32_t tt_state_slot_bytes(const tt_storage_t *storage);

/* Whether a slot holds a complete state. header: out. failed: set when the storage could not be read. */
bool tt_state_complete(const tt_storage_t *storage, uint32_t offset, tt_state_header_t *header, bool *failed);

/* state: NULL where none is ours. survey: out. */
void tt_state_look(const tt_state_t *state, const tt_storage_t *storage, tt_state_survey_t *survey);

/* The slot with the newest of the states in question, TT_STATE_SLOTS if there is none. among: [TT_STATE_SLOTS]. */
uint32_t tt_state_newest_among(const tt_state_survey_t *survey, const bool *among);

#ifdef __cplusplus
}
#endif

#endif /* TT_STATE_PARTS_H */
