/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of states, what the slots of a storage hold, and what is read from them. */
#include <stddef.h>

#include "tt_crc32.h"
#include "tt_state_parts.h"

#define CHUNK_BYTES 64u

uint32_t tt_state_channel_bytes(uint32_t channels) {
    return (2u * channels + 3u) / 4u * 4u;
}

static uint32_t prototype_bytes(uint32_t classes, uint32_t elements) {
    return 4u * classes * (elements + 1u);
}

uint32_t tt_state_chosen_channels(const tt_state_t *state) {
    uint32_t sum = 0u;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        sum += state->rows[i].trained;
    }
    return sum;
}

uint32_t tt_state_size(const tt_state_t *state) {
    uint32_t bytes = (uint32_t)sizeof(tt_state_header_t) + TT_STATE_ENTRY_BYTES * state->layers +
                     tt_state_channel_bytes(tt_state_chosen_channels(state)) + TT_STATE_CRC_BYTES;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        bytes += 4u * tt_trained_elements(&state->rows[i]);
    }
    return state->sums == NULL ? bytes : bytes + prototype_bytes(state->classes, state->elements);
}

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

static bool read(const tt_storage_t *storage, uint32_t offset, void *bytes, uint32_t count) {
    return count == 0u || storage->read(storage->context, offset, bytes, count);
}

/* CRC-32 of a run of the storage. */
static bool checksum(const tt_storage_t *storage, uint32_t offset, uint32_t count, uint32_t *crc) {
    uint8_t chunk[CHUNK_BYTES];
    *crc = 0u;
    while (count > 0u) {
        const uint32_t part = count < CHUNK_BYTES ? count : CHUNK_BYTES;
        if (!read(storage, offset, chunk, part)) {
            return false;
        }
        *crc = tt_crc32(*crc, chunk, part);
        offset += part;
        count -= part;
    }
    return true;
}

bool tt_state_complete(const tt_storage_t *storage, uint32_t offset, tt_state_header_t *header, bool *failed) {
    const uint32_t least = (uint32_t)sizeof *header + TT_STATE_CRC_BYTES;
    const uint32_t room = tt_state_slot_bytes(storage);
    uint32_t expected;
    uint32_t found;
    if (room < least) {
        return false;
    }
    if (!read(storage, offset, header, sizeof *header)) {
        *failed = true;
        return false;
    }
    if (header->magic != TT_STATE_MAGIC || header->version != TT_STATE_VERSION || header->bytes < least ||
        header->bytes > room || header->bytes % 4u != 0u) {
        return false;
    }
    if (!checksum(storage, offset, header->bytes - TT_STATE_CRC_BYTES, &found) ||
        !read(storage, offset + header->bytes - TT_STATE_CRC_BYTES, &expected, TT_STATE_CRC_BYTES)) {
        *failed = true;
        return false;
    }
    return found == expected;
}

/* The rooms of a slot, from its plan on. */
static uint32_t entries_at(const tt_state_slot_t *slot) {
    return slot->offset + (uint32_t)sizeof slot->header;
}

static uint32_t channels_at(const tt_state_slot_t *slot) {
    return entries_at(slot) + TT_STATE_ENTRY_BYTES * slot->header.layers;
}

static bool read_entry(const tt_state_slot_t *slot, uint32_t index, tt_state_entry_t *entry) {
    return read(slot->storage, entries_at(slot) + TT_STATE_ENTRY_BYTES * index, entry, sizeof *entry);
}

static bool read_channel(const tt_state_slot_t *slot, uint32_t index, uint16_t *channel) {
    return read(slot->storage, channels_at(slot) + 2u * index, channel, sizeof *channel);
}

/* Whether the chosen channels of a layer are ascending, in range and, where the plan is fixed, those of the build. */
static bool channels_fit(const tt_state_t *state, const tt_state_slot_t *slot, uint32_t layer, uint32_t first,
                         uint32_t chosen, bool *failed) {
    uint16_t before = 0u;
    uint32_t k;
    for (k = 0; k < chosen; ++k) {
        uint16_t channel;
        if (!read_channel(slot, first + k, &channel)) {
            *failed = true;
            return false;
        }
        if (channel >= state->channels_total[layer] || (k > 0u && channel <= before) ||
            (state->fixed_plan && channel != state->rows[layer].channels[k])) {
            return false;
        }
        before = channel;
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
    return true;
}

/* Whether a complete state is of this model, with a plan that this build can train. */
static bool ours(const tt_state_t *state, const tt_state_slot_t *slot, bool *failed) {
    const tt_state_header_t *header = &slot->header;
    uint64_t bytes = sizeof *header + (uint64_t)TT_STATE_ENTRY_BYTES * header->layers + TT_STATE_CRC_BYTES;
    uint64_t floats = 0u;
    uint64_t room = 0u;
    uint32_t channels = 0u;
    uint32_t i;
    if (!same_model(state, header) || header->layers != state->layers ||
        header->classes != (state->sums == NULL ? 0u : state->classes) ||
        header->elements != (state->sums == NULL ? 0u : state->elements) || header->bytes < bytes) {
        return false;
    }
    for (i = 0; i < state->layers; ++i) {
        tt_state_entry_t entry;
        if (!read_entry(slot, i, &entry)) {
            *failed = true;
            return false;
        }
        if (entry.number != state->numbers[i] || entry.stride != state->rows[i].stride ||
            entry.chosen > state->channels_total[i] || (state->fixed_plan && entry.chosen != state->rows[i].trained)) {
            return false;
        }
        floats += (uint64_t)entry.chosen * entry.stride;
        room += state->fixed_plan ? 0u : (uint64_t)entry.chosen * state->row_bytes[i];
        channels += entry.chosen;
    }
    bytes += tt_state_channel_bytes(channels) + 4u * floats + prototype_bytes(header->classes, header->elements);
    if (bytes != header->bytes || (!state->fixed_plan && room > state->rows_limit)) {
        return false;
    }
    channels = 0u;
    for (i = 0; i < state->layers; ++i) {
        tt_state_entry_t entry;
        if (!read_entry(slot, i, &entry)) {
            *failed = true;
            return false;
        }
        if (!channels_fit(state, slot, i, channels, entry.chosen, failed)) {
            return false;
        }
        channels += entry.chosen;
    }
    return true;
}

void tt_state_look(const tt_state_t *state, const tt_storage_t *storage, tt_state_survey_t *survey) {
    uint32_t i;
    for (i = 0; i < TT_STATE_SLOTS; ++i) {
        tt_state_slot_t *slot = &survey->slots[i];
        slot->storage = storage;
        slot->offset = i * tt_state_slot_bytes(storage);
        survey->failed[i] = false;
        survey->complete[i] = tt_state_complete(storage, slot->offset, &slot->header, &survey->failed[i]);
        survey->ours[i] = state != NULL && survey->complete[i] && ours(state, slot, &survey->failed[i]);
    }
}

uint32_t tt_state_newest_among(const tt_state_survey_t *survey, const bool *among) {
    if (among[0] && among[1]) {
        /* Modulo 2^32: what is less than half of the way round ahead is newer. */
        const uint32_t ahead = survey->slots[1].header.sequence - survey->slots[0].header.sequence;
        return ahead != 0u && ahead < 0x80000000u ? 1u : 0u;
    }
    return among[0] ? 0u : among[1] ? 1u : TT_STATE_SLOTS;
}

tt_status_t tt_state_find(const tt_state_t *state, const tt_storage_t *storage, tt_state_slot_t *slot) {
    tt_state_survey_t survey;
    uint32_t found;
    const tt_status_t status = tt_state_check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    tt_state_look(state, storage, &survey);
    found = tt_state_newest_among(&survey, survey.ours);
    if (found == TT_STATE_SLOTS) {
        return survey.failed[0] || survey.failed[1]       ? TT_ERROR_STORAGE
               : survey.complete[0] || survey.complete[1] ? TT_ERROR_OTHER_STATE
                                                          : TT_ERROR_NO_STATE;
    }
    *slot = survey.slots[found];
    return TT_OK;
}

tt_status_t tt_state_newest(const tt_storage_t *storage, tt_state_slot_t *slot) {
    tt_state_survey_t survey;
    uint32_t found;
    const tt_status_t status = tt_state_check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    tt_state_look(NULL, storage, &survey);
    found = tt_state_newest_among(&survey, survey.complete);
    if (found == TT_STATE_SLOTS) {
        return survey.failed[0] || survey.failed[1] ? TT_ERROR_STORAGE : TT_ERROR_NO_STATE;
    }
    *slot = survey.slots[found];
    return TT_OK;
}

tt_status_t tt_state_read_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint16_t *counts,
                               uint16_t *channels) {
    uint32_t offset = channels_at(slot);
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        tt_state_entry_t entry;
        if (!read_entry(slot, i, &entry) || entry.chosen > state->channels_total[i] ||
            !read(slot->storage, offset, channels, 2u * (uint32_t)entry.chosen)) {
            return TT_ERROR_STORAGE;
        }
        counts[i] = entry.chosen;
        offset += 2u * (uint32_t)entry.chosen;
        channels += state->channels_total[i];
    }
    return TT_OK;
}

tt_status_t tt_state_read_rows(const tt_state_t *state, const tt_state_slot_t *slot) {
    uint32_t offset = channels_at(slot) + tt_state_channel_bytes(tt_state_chosen_channels(state));
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const uint32_t bytes = 4u * tt_trained_elements(&state->rows[i]);
        if (!read(slot->storage, offset, state->rows[i].pool, bytes)) {
            return TT_ERROR_STORAGE;
        }
        offset += bytes;
    }
    if (state->sums == NULL) {
        return TT_OK;
    }
    return read(slot->storage, offset, state->sums, 4u * state->classes * state->elements) &&
                   read(slot->storage, offset + 4u * state->classes * state->elements, state->counts,
                        4u * state->classes)
               ? TT_OK
               : TT_ERROR_STORAGE;
}
