/* SPDX-License-Identifier: Apache-2.0 */
/* Saves into the slot that does not hold the newest state, and says so only of what a load will find. */
#include <stddef.h>
#include <string.h>

#include "tt_finite.h"
#include "tt_state_parts.h"

/*
 * The header of the state that follows those in the storage. It goes to the slot without the newest state of ours, or
 * of anybody. A slot that cannot be read (a torn page with a wrong ECC) may be overwritten while the other one can;
 * with neither, nobody knows which one holds the newest.
 *
 * header: out. target: out, slot to write. unread: out, the other slot could not be read.
 */
static bool plan_save(const tt_state_t *state, const tt_storage_t *storage, tt_state_header_t *header, uint32_t *target,
                      bool *unread) {
    tt_state_survey_t survey;
    uint32_t kept;
    tt_state_look(state, storage, &survey);
    kept = tt_state_newest_of(&survey, false);
    if (kept == TT_STATE_SLOTS) {
        kept = tt_state_newest_of(&survey, true);
    }
    memset(header, 0, sizeof *header);
    header->sequence = kept == TT_STATE_SLOTS ? 1u : survey.slots[kept].header.sequence + 1u;
    if (kept == TT_STATE_SLOTS) {
        kept = survey.status[0] == TT_ERROR_STORAGE ? 0u : 1u;
    }
    *target = 1u - kept;
    *unread = survey.status[kept] == TT_ERROR_STORAGE;
    header->magic = TT_STATE_MAGIC;
    header->version = TT_STATE_VERSION;
    header->layers = (uint16_t)state->layers;
    header->bytes = tt_state_size(state);
    memcpy(header->model, state->model, sizeof header->model);
    header->plan = tt_state_plan_checksum(state, 0u);
    header->steps = state->steps;
    header->classes = state->sums == NULL ? 0u : state->classes;
    header->elements = state->sums == NULL ? 0u : state->elements;
    return !*unread || survey.status[*target] != TT_ERROR_STORAGE;
}

/* Saving what has diverged would put it in the place of a good state. */
static bool learned_is_finite(const tt_state_t *state) {
    tt_state_part_t part;
    uint32_t i;
    for (i = 0; i <= state->layers && tt_state_part(state, i, &part); ++i) {
        if (!tt_all_finite(part.bytes, part.count / 4u)) {
            return false;
        }
    }
    return true;
}

tt_status_t tt_state_save(const tt_state_t *state, const tt_storage_t *storage) {
    tt_state_header_t header;
    tt_state_slot_t found;
    uint32_t slot_bytes;
    uint32_t target;
    uint32_t crc;
    bool unread;
    const tt_status_t status = tt_state_check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    slot_bytes = tt_state_slot_bytes(storage);
    if (slot_bytes < tt_state_size(state)) {
        return TT_ERROR_STORAGE_TOO_SMALL;
    }
    if (!learned_is_finite(state)) {
        return TT_ERROR_NOT_FINITE;
    }
    if (!plan_save(state, storage, &header, &target, &unread) ||
        !tt_state_write(state, storage, &header, target * slot_bytes, &crc) ||
        tt_state_find(state, storage, &found) != TT_OK || found.offset != target * slot_bytes || found.crc != crc) {
        return TT_ERROR_STORAGE;
    }
    /* Whatever could not be read would be the newer one, should it be readable again some day. */
    return !unread || tt_state_blank(storage, (1u - target) * slot_bytes) ? TT_OK : TT_ERROR_STORAGE;
}
