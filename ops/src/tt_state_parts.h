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
#define TT_STATE_PADDING 0xffffu
#define TT_STATE_LOOKS 4u /* how often what does not read as it should is read: one bad read costs nothing */

/* ---- layout ---- */

/* A layer in the plan of a state. */
typedef struct {
    uint16_t number;
    uint16_t chosen;
    uint32_t stride;
} tt_state_entry_t;

/* What follows the plan: a run of the state that lies in the session as it is stored. */
typedef struct {
    void *bytes;
    uint32_t count;
} tt_state_part_t;

/* Takes the next bytes of a state. */
typedef void (*tt_state_sink_t)(void *context, const void *bytes, uint32_t count);

/* Bytes of a plan's chosen channels, padding included. */
TT_COLD uint32_t tt_state_channel_bytes(uint32_t channels);

/* Channels that the plan of state has chosen, of all layers. */
TT_COLD uint32_t tt_state_chosen_channels(const tt_state_t *state);

/* Bytes of sums and counts; 0 without prototypes. */
TT_COLD uint32_t tt_state_prototype_bytes(const tt_state_t *state);

/* Hand the plan of state to sink as it is stored. */
TT_COLD void tt_state_plan(const tt_state_t *state, tt_state_sink_t sink, void *context);

/* CRC-32 of the plan of state, continued from crc. */
TT_COLD uint32_t tt_state_plan_checksum(const tt_state_t *state, uint32_t crc);

/*
 * Parts 0 .. layers - 1 are the rows of the layers, in order; with prototypes, part layers is the sums and the next one
 * the counts. part: out. Returns false where there is no part of that index.
 */
TT_COLD bool tt_state_part(const tt_state_t *state, uint32_t index, tt_state_part_t *part);

/* ---- reading ---- */

/*
 * What the two slots hold. status: TT_OK: a whole state of ours; TT_ERROR_OTHER_STATE or TT_ERROR_NOT_FINITE: a whole
 * one that cannot be loaded; TT_ERROR_NO_STATE: none; TT_ERROR_STORAGE: it could not be read, or not twice alike.
 */
typedef struct {
    tt_state_slot_t slots[TT_STATE_SLOTS];
    tt_status_t status[TT_STATE_SLOTS];
} tt_state_survey_t;

/* The errors of tt_state_save that the storage alone decides. storage: in, may be NULL. */
TT_COLD tt_status_t tt_state_check_storage(const tt_storage_t *storage);

/* Bytes of one slot, in whole blocks. storage: in, checked, as below. */
TT_COLD uint32_t tt_state_slot_bytes(const tt_storage_t *storage);

/* Look into both slots. state: NULL where any whole state counts as ours. survey: out. */
TT_COLD void tt_state_look(const tt_state_t *state, const tt_storage_t *storage, tt_state_survey_t *survey);

/* The slot with the newest state of ours, or, where whole is true, of all whole ones; TT_STATE_SLOTS if there is none. */
TT_COLD uint32_t tt_state_newest_of(const tt_state_survey_t *survey, bool whole);

/* ---- writing ---- */

/*
 * Erase the slot at offset as far as header->bytes go and write the state. It has not been read back then.
 * crc: out, CRC-32 of the state. Returns false when the storage failed.
 */
TT_COLD bool tt_state_write(const tt_state_t *state, const tt_storage_t *storage, const tt_state_header_t *header,
                            uint32_t offset, uint32_t *crc);

/* Make sure that the slot at offset holds no state. Returns false when the storage failed. */
TT_COLD bool tt_state_blank(const tt_storage_t *storage, uint32_t offset);

#ifdef __cplusplus
}
#endif

#endif /* TT_STATE_PARTS_H */
