/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the slots of a storage hold, and what is read from them. No read is trusted for having gone well before: what
 * steers an access to memory is checked on the read that it is taken from, and a checksum covers what has been taken.
 */
#include <stddef.h>

#include "tt_crc32.h"
#include "tt_finite.h"
#include "tt_state_parts.h"

#define CHUNK_FLOATS 16u

tt_status_t tt_state_check_storage(const tt_storage_t *storage) {
    if (storage == NULL || storage->read == NULL || storage->write == NULL || storage->erase == NULL ||
        storage->size == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (storage->page_bytes == 0u || storage->page_bytes > TT_STORAGE_MAX_PAGE_BYTES || storage->block_bytes == 0u ||
        storage->block_bytes % storage->page_bytes != 0u) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    return storage->size(storage->context) == 0u ? TT_ERROR_STORAGE : TT_OK;
}

uint32_t tt_state_slot_bytes(const tt_storage_t *storage) {
    return storage->size(storage->context) / TT_STATE_SLOTS / storage->block_bytes * storage->block_bytes;
}

/* Reads on from offset. */
typedef struct {
    const tt_storage_t *storage;
    uint32_t offset;
    uint32_t crc; /* of what has been read */
} reader_t;

static bool take(reader_t *reader, void *bytes, uint32_t count) {
    if (count > 0u && !reader->storage->read(reader->storage->context, reader->offset, bytes, count)) {
        return false;
    }
    reader->offset += count;
    reader->crc = tt_crc32(reader->crc, bytes, count);
    return true;
}

/* Reads without keeping. finite: NULL, or set to false when one of count / 4 floats is not. */
static bool scan(reader_t *reader, uint32_t count, bool *finite) {
    float chunk[CHUNK_FLOATS];
    while (count > 0u) {
        const uint32_t part = count < sizeof chunk ? count : (uint32_t)sizeof chunk;
        if (!take(reader, chunk, part)) {
            return false;
        }
        if (finite != NULL && !tt_all_finite(chunk, part / 4u)) {
            *finite = false;
        }
        count -= part;
    }
    return true;
}

static bool same_model(const tt_state_t *state, const tt_state_header_t *header) {
    uint32_t i;
    for (i = 0; i < TT_STATE_MODEL_BYTES; ++i) {
        if (header->model[i] != state->model[i]) {
            return false;
        }
    }
    return header->layers == state->layers && header->classes == (state->sums == NULL ? 0u : state->classes) &&
           header->elements == (state->sums == NULL ? 0u : state->elements);
}

/*
 * The plan of a slot whose header is of our model, for a board that chooses. Entries stand before all channels, but
 * there is no room to keep them: they are read for the checksum, and then, one by one, together with the channels of
 * their layer. What the second reading gives must add up to the state, whose own checksum decides in the end. Sizes of a layer of the build do not overflow, and channels do not go beyond header.bytes.
 *
 * counts, channels: out, as tt_state_read_plan has them; NULL to look only.
 * chosen: out, the number of all channels.
 */
static tt_status_t take_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint16_t *counts, uint16_t *channels,
                             uint32_t *chosen) {
    static const uint16_t padding = TT_STATE_PADDING;
    const tt_state_header_t *header = &slot->header;
    reader_t entries = {slot->storage, slot->offset + (uint32_t)sizeof *header, 0u};
    reader_t plan = entries;
    uint32_t bytes = (uint32_t)sizeof *header + TT_STATE_ENTRY_BYTES * state->layers + tt_state_prototype_bytes(state) +
                     TT_STATE_CRC_BYTES;
    uint64_t room = state->rows_limit;
    uint32_t i;
    *chosen = 0u;
    if (header->bytes < bytes) {
        return TT_ERROR_OTHER_STATE;
    }
    if (!scan(&plan, TT_STATE_ENTRY_BYTES * state->layers, NULL)) {
        return TT_ERROR_STORAGE;
    }
    for (i = 0; i < state->layers; ++i) {
        const uint16_t total = state->channels_total[i];
        tt_state_entry_t entry;
        uint32_t least = 0u;
        uint32_t k;
        if (!take(&entries, &entry, TT_STATE_ENTRY_BYTES)) {
            return TT_ERROR_STORAGE;
        }
        if (entry.number != state->numbers[i] || entry.stride != state->rows[i].stride || entry.chosen > total ||
            (uint64_t)entry.chosen * state->row_bytes[i] > room) {
            return TT_ERROR_OTHER_STATE;
        }
        room -= (uint64_t)entry.chosen * state->row_bytes[i];
        bytes += 4u * entry.chosen * entry.stride;
        *chosen += entry.chosen;
        if (bytes + tt_state_channel_bytes(*chosen) > header->bytes) {
            return TT_ERROR_OTHER_STATE;
        }
        for (k = 0; k < entry.chosen; ++k) {
            uint16_t channel;
            if (!take(&plan, &channel, sizeof channel)) {
                return TT_ERROR_STORAGE;
            }
            if (channel < least || channel >= total) {
                return TT_ERROR_OTHER_STATE;
            }
            least = channel + 1u;
            if (channels != NULL) {
                channels[k] = channel;
            }
        }
        if (channels != NULL) {
            counts[i] = entry.chosen;
            channels += total;
        }
    }
    if (*chosen % 2u != 0u) {
        plan.crc = tt_crc32(plan.crc, &padding, sizeof padding);
    }
    return plan.crc == header->plan && bytes + tt_state_channel_bytes(*chosen) == header->bytes ? TT_OK
                                                                                                : TT_ERROR_OTHER_STATE;
}

/* Whether a state is of our model and has a plan that the build can train. chosen: out, as above. */
static tt_status_t check_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint32_t *chosen) {
    if (!same_model(state, &slot->header)) {
        return TT_ERROR_OTHER_STATE;
    }
    if (!state->fixed_plan) {
        return take_plan(state, slot, NULL, NULL, chosen);
    }
    *chosen = tt_state_chosen_channels(state);
    return slot->header.bytes == tt_state_size(state) && slot->header.plan == tt_state_plan_checksum(state, 0u)
               ? TT_OK
               : TT_ERROR_OTHER_STATE;
}

/* room: bytes of a slot. slot: storage and offset in, header out. reader: at the slot, with its crc at 0. */
static tt_status_t look_once(const tt_state_t *state, uint32_t room, tt_state_slot_t *slot, reader_t *reader) {
    tt_state_header_t *header = &slot->header;
    const uint32_t least = (uint32_t)sizeof *header + TT_STATE_CRC_BYTES;
    tt_status_t status = TT_OK;
    uint32_t floats = 0u;
    uint32_t counts = 0u;
    uint32_t chosen;
    uint32_t crc;
    bool finite = true;
    if (room < least) {
        return TT_ERROR_NO_STATE;
    }
    if (!take(reader, header, sizeof *header)) {
        return TT_ERROR_STORAGE;
    }
    if (header->magic != TT_STATE_MAGIC || header->version != TT_STATE_VERSION || header->bytes < least ||
        header->bytes > room || header->bytes % 4u != 0u) {
        return TT_ERROR_NO_STATE;
    }
    if (state != NULL) {
        status = check_plan(state, slot, &chosen);
    }
    if (state != NULL && status == TT_OK) {
        counts = 4u * header->classes;
        floats =
            header->bytes - least - TT_STATE_ENTRY_BYTES * header->layers - tt_state_channel_bytes(chosen) - counts;
    }
    if (!scan(reader, header->bytes - least - floats - counts, NULL) || !scan(reader, floats, &finite) ||
        !scan(reader, counts, NULL)) {
        return TT_ERROR_STORAGE;
    }
    crc = reader->crc;
    if (!take(reader, &slot->crc, TT_STATE_CRC_BYTES)) {
        return TT_ERROR_STORAGE;
    }
    if (crc != slot->crc) {
        return TT_ERROR_NO_STATE;
    }
    return finite ? status : TT_ERROR_NOT_FINITE;
}

void tt_state_look(const tt_state_t *state, const tt_storage_t *storage, tt_state_survey_t *survey) {
    const uint32_t room = tt_state_slot_bytes(storage);
    uint32_t i;
    for (i = 0; i < TT_STATE_SLOTS; ++i) {
        tt_state_slot_t *slot = &survey->slots[i];
        tt_status_t before = TT_OK;
        uint32_t crc_before = 0u;
        uint32_t looks;
        survey->status[i] = TT_ERROR_STORAGE;
        slot->storage = storage;
        slot->offset = i * room;
        for (looks = 0; looks < TT_STATE_LOOKS; ++looks) {
            reader_t reader = {storage, slot->offset, 0u};
            const tt_status_t status = look_once(state, room, slot, &reader);
            /* What is ours has been checked; that something is not is believed when it has been read twice alike. */
            if (status == TT_OK || (status != TT_ERROR_STORAGE && status == before && reader.crc == crc_before)) {
                survey->status[i] = status;
                break;
            }
            before = status;
            crc_before = reader.crc;
        }
    }
}

static bool is_whole(tt_status_t status) {
    return status != TT_ERROR_STORAGE && status != TT_ERROR_NO_STATE;
}

uint32_t tt_state_newest_of(const tt_state_survey_t *survey, bool whole) {
    bool among[TT_STATE_SLOTS];
    uint32_t i;
    for (i = 0; i < TT_STATE_SLOTS; ++i) {
        among[i] = survey->status[i] == TT_OK || (whole && is_whole(survey->status[i]));
    }
    if (among[0] && among[1]) {
        /* Modulo 2^32: what is less than half of the way round ahead is newer. */
        const uint32_t ahead = survey->slots[1].header.sequence - survey->slots[0].header.sequence;
        return ahead != 0u && ahead < 0x80000000u ? 1u : 0u;
    }
    return among[0] ? 0u : among[1] ? 1u : TT_STATE_SLOTS;
}

tt_status_t tt_state_find(const tt_state_t *state, const tt_storage_t *storage, tt_state_slot_t *slot) {
    static const tt_status_t REASONS[] = {TT_ERROR_STORAGE, TT_ERROR_NOT_FINITE, TT_ERROR_OTHER_STATE};
    tt_state_survey_t survey;
    uint32_t found;
    uint32_t i;
    const tt_status_t status = tt_state_check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    tt_state_look(state, storage, &survey);
    found = tt_state_newest_of(&survey, false);
    if (found < TT_STATE_SLOTS) {
        *slot = survey.slots[found];
        return TT_OK;
    }
    for (i = 0; i < sizeof REASONS / sizeof REASONS[0]; ++i) {
        if (survey.status[0] == REASONS[i] || survey.status[1] == REASONS[i]) {
            return REASONS[i];
        }
    }
    return TT_ERROR_NO_STATE;
}

tt_status_t tt_state_newest(const tt_storage_t *storage, tt_state_slot_t *slot) {
    return tt_state_find(NULL, storage, slot);
}

tt_status_t tt_state_read_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint16_t *counts,
                               uint16_t *channels) {
    uint32_t chosen;
    uint32_t looks;
    for (looks = 0; looks < TT_STATE_LOOKS; ++looks) {
        if (take_plan(state, slot, counts, channels, &chosen) == TT_OK) {
            return TT_OK;
        }
    }
    return TT_ERROR_STORAGE;
}

tt_status_t tt_state_read_rows(const tt_state_t *state, const tt_state_slot_t *slot) {
    const uint32_t header_bytes = (uint32_t)sizeof slot->header;
    uint32_t looks;
    if (tt_state_size(state) != slot->header.bytes) {
        return TT_ERROR_OTHER_STATE;
    }
    for (looks = 0; looks < TT_STATE_LOOKS; ++looks) {
        reader_t reader = {slot->storage, slot->offset + header_bytes, 0u};
        tt_state_part_t part;
        uint32_t i = 0u;
        reader.offset += TT_STATE_ENTRY_BYTES * state->layers + tt_state_channel_bytes(tt_state_chosen_channels(state));
        reader.crc = tt_state_plan_checksum(state, tt_crc32(0u, &slot->header, header_bytes));
        while (tt_state_part(state, i, &part) && take(&reader, part.bytes, part.count)) {
            ++i;
        }
        if (!tt_state_part(state, i, &part) && reader.crc == slot->crc) {
            return TT_OK;
        }
    }
    return TT_ERROR_STORAGE;
}
