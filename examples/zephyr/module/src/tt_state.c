/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_state.h"

#include <stddef.h>
#include <string.h>

#include "tt_crc32.h"
#include "tt_finite.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "saved states are little-endian: numbers would have to be turned round on this core"
#endif

#define SLOTS 2u
#define CHUNK_BYTES 64u
#define ENTRY_BYTES 8u
#define CRC_BYTES 4u
#define PADDING 0xffffu

/* A layer in the plan of a state. */
typedef struct {
    uint16_t number;
    uint16_t chosen;
    uint32_t stride;
} entry_t;

/* ---- sizes ---- */

static uint32_t channel_bytes(uint32_t channels)
{
    return (2u * channels + 3u) / 4u * 4u;
}

static uint32_t prototype_bytes(uint32_t classes, uint32_t elements)
{
    return 4u * classes * (elements + 1u);
}

static uint32_t chosen_channels(const tt_state_t *state)
{
    uint32_t sum = 0u;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        sum += state->rows[i].trained;
    }
    return sum;
}

uint32_t tt_state_size(const tt_state_t *state)
{
    uint32_t bytes = (uint32_t)sizeof(tt_state_header_t) + ENTRY_BYTES * state->layers +
                     channel_bytes(chosen_channels(state)) + CRC_BYTES;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        bytes += 4u * tt_trained_elements(&state->rows[i]);
    }
    return state->sums == NULL ? bytes : bytes + prototype_bytes(state->classes, state->elements);
}

static tt_status_t check_storage(const tt_storage_t *storage)
{
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

static uint32_t slot_bytes(const tt_storage_t *storage)
{
    return storage->size(storage->context) / SLOTS / storage->block_bytes * storage->block_bytes;
}

/* ---- reading ---- */

static bool read(const tt_storage_t *storage, uint32_t offset, void *bytes, uint32_t count)
{
    return count == 0u || storage->read(storage->context, offset, bytes, count);
}

/* CRC-32 of a run of the storage. */
static bool checksum(const tt_storage_t *storage, uint32_t offset, uint32_t count, uint32_t *crc)
{
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

/* Whether a slot holds a complete state. failed: set when the storage could not be read. */
static bool complete(const tt_storage_t *storage, uint32_t offset, tt_state_header_t *header, bool *failed)
{
    const uint32_t least = (uint32_t)sizeof *header + CRC_BYTES;
    const uint32_t room = slot_bytes(storage);
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
    if (!checksum(storage, offset, header->bytes - CRC_BYTES, &found) ||
        !read(storage, offset + header->bytes - CRC_BYTES, &expected, CRC_BYTES)) {
        *failed = true;
        return false;
    }
    return found == expected;
}

/* The rooms of a slot, from its plan on. */
static uint32_t entries_at(const tt_state_slot_t *slot)
{
    return slot->offset + (uint32_t)sizeof slot->header;
}

static uint32_t channels_at(const tt_state_slot_t *slot)
{
    return entries_at(slot) + ENTRY_BYTES * slot->header.layers;
}

static bool read_entry(const tt_state_slot_t *slot, uint32_t index, entry_t *entry)
{
    return read(slot->storage, entries_at(slot) + ENTRY_BYTES * index, entry, sizeof *entry);
}

static bool read_channel(const tt_state_slot_t *slot, uint32_t index, uint16_t *channel)
{
    return read(slot->storage, channels_at(slot) + 2u * index, channel, sizeof *channel);
}

/* Whether the chosen channels of a layer are ascending, in range and, where the plan is fixed, those of the build. */
static bool channels_fit(const tt_state_t *state, const tt_state_slot_t *slot, uint32_t layer, uint32_t first,
                         uint32_t chosen, bool *failed)
{
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

static bool same_model(const tt_state_t *state, const tt_state_header_t *header)
{
    uint32_t i;
    for (i = 0; i < TT_STATE_MODEL_BYTES; ++i) {
        if (header->model[i] != state->model[i]) {
            return false;
        }
    }
    return true;
}

/* Whether a complete state is of this model, with a plan that this build can train. */
static bool ours(const tt_state_t *state, const tt_state_slot_t *slot, bool *failed)
{
    const tt_state_header_t *header = &slot->header;
    uint64_t bytes = sizeof *header + (uint64_t)ENTRY_BYTES * header->layers + CRC_BYTES;
    uint64_t floats = 0u;
    uint32_t channels = 0u;
    uint32_t i;
    if (!same_model(state, header) || header->layers != state->layers ||
        header->classes != (state->sums == NULL ? 0u : state->classes) ||
        header->elements != (state->sums == NULL ? 0u : state->elements) || header->bytes < bytes) {
        return false;
    }
    for (i = 0; i < state->layers; ++i) {
        entry_t entry;
        if (!read_entry(slot, i, &entry)) {
            *failed = true;
            return false;
        }
        if (entry.number != state->numbers[i] || entry.stride != state->rows[i].stride ||
            entry.chosen > state->channels_total[i] ||
            (state->fixed_plan && entry.chosen != state->rows[i].trained)) {
            return false;
        }
        floats += (uint64_t)entry.chosen * entry.stride;
        channels += entry.chosen;
    }
    bytes += channel_bytes(channels) + 4u * floats + prototype_bytes(header->classes, header->elements);
    if (bytes != header->bytes || (!state->fixed_plan && floats > state->rows_limit)) {
        return false;
    }
    channels = 0u;
    for (i = 0; i < state->layers; ++i) {
        entry_t entry;
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

/* What the two slots hold. */
typedef struct {
    tt_state_slot_t slots[SLOTS];
    bool complete[SLOTS];
    bool ours[SLOTS];
    bool failed[SLOTS]; /* could not be read to the end */
} survey_t;

/* state: NULL where none is ours. */
static void look(const tt_state_t *state, const tt_storage_t *storage, survey_t *survey)
{
    uint32_t i;
    for (i = 0; i < SLOTS; ++i) {
        tt_state_slot_t *slot = &survey->slots[i];
        slot->storage = storage;
        slot->offset = i * slot_bytes(storage);
        survey->failed[i] = false;
        survey->complete[i] = complete(storage, slot->offset, &slot->header, &survey->failed[i]);
        survey->ours[i] = state != NULL && survey->complete[i] && ours(state, slot, &survey->failed[i]);
    }
}

/* The slot with the newest of the states in question, SLOTS if there is none. */
static uint32_t newest(const survey_t *survey, const bool *among)
{
    if (among[0] && among[1]) {
        /* Modulo 2^32: what is less than half of the way round ahead is newer. */
        const uint32_t ahead = survey->slots[1].header.sequence - survey->slots[0].header.sequence;
        return ahead != 0u && ahead < 0x80000000u ? 1u : 0u;
    }
    return among[0] ? 0u : among[1] ? 1u : SLOTS;
}

tt_status_t tt_state_find(const tt_state_t *state, const tt_storage_t *storage, tt_state_slot_t *slot)
{
    survey_t survey;
    uint32_t found;
    const tt_status_t status = check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    look(state, storage, &survey);
    found = newest(&survey, survey.ours);
    if (found == SLOTS) {
        return survey.failed[0] || survey.failed[1]       ? TT_ERROR_STORAGE
               : survey.complete[0] || survey.complete[1] ? TT_ERROR_OTHER_STATE
                                                          : TT_ERROR_NO_STATE;
    }
    *slot = survey.slots[found];
    return TT_OK;
}

tt_status_t tt_state_newest(const tt_storage_t *storage, tt_state_slot_t *slot)
{
    survey_t survey;
    uint32_t found;
    const tt_status_t status = check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    look(NULL, storage, &survey);
    found = newest(&survey, survey.complete);
    if (found == SLOTS) {
        return survey.failed[0] || survey.failed[1] ? TT_ERROR_STORAGE : TT_ERROR_NO_STATE;
    }
    *slot = survey.slots[found];
    return TT_OK;
}

tt_status_t tt_state_read_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint16_t *counts,
                               uint16_t *channels)
{
    uint32_t offset = channels_at(slot);
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        entry_t entry;
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

tt_status_t tt_state_read_rows(const tt_state_t *state, const tt_state_slot_t *slot)
{
    uint32_t offset = channels_at(slot) + channel_bytes(chosen_channels(state));
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

/* ---- writing ---- */

/* Collects bytes into pages. */
typedef struct {
    union {
        uint64_t alignment;
        uint8_t bytes[TT_STORAGE_MAX_PAGE_BYTES];
    } page;
    const tt_storage_t *storage;
    uint32_t offset; /* of the page */
    uint32_t filled;
    uint32_t crc;
    bool failed;
} writer_t;

static void flush(writer_t *writer)
{
    const tt_storage_t *storage = writer->storage;
    memset(writer->page.bytes + writer->filled, 0xff, storage->page_bytes - writer->filled);
    writer->failed = writer->failed ||
                     !storage->write(storage->context, writer->offset, writer->page.bytes, storage->page_bytes);
    writer->offset += storage->page_bytes;
    writer->filled = 0u;
}

static void put(writer_t *writer, const void *bytes, uint32_t count)
{
    const uint8_t *from = bytes;
    writer->crc = tt_crc32(writer->crc, bytes, count);
    while (count > 0u && !writer->failed) {
        const uint32_t room = writer->storage->page_bytes - writer->filled;
        const uint32_t part = count < room ? count : room;
        memcpy(writer->page.bytes + writer->filled, from, part);
        writer->filled += part;
        from += part;
        count -= part;
        if (writer->filled == writer->storage->page_bytes) {
            flush(writer);
        }
    }
}

static entry_t entry_of(const tt_state_t *state, uint32_t layer)
{
    const entry_t entry = {state->numbers[layer], (uint16_t)state->rows[layer].trained, state->rows[layer].stride};
    return entry;
}

static const uint16_t padding = PADDING;

static uint32_t plan_checksum(const tt_state_t *state)
{
    uint32_t crc = 0u;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const entry_t entry = entry_of(state, i);
        crc = tt_crc32(crc, &entry, sizeof entry);
    }
    for (i = 0; i < state->layers; ++i) {
        crc = tt_crc32(crc, state->rows[i].channels, 2u * state->rows[i].trained);
    }
    return chosen_channels(state) % 2u == 0u ? crc : tt_crc32(crc, &padding, sizeof padding);
}

static void put_plan(writer_t *writer, const tt_state_t *state)
{
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const entry_t entry = entry_of(state, i);
        put(writer, &entry, sizeof entry);
    }
    for (i = 0; i < state->layers; ++i) {
        put(writer, state->rows[i].channels, 2u * state->rows[i].trained);
    }
    if (chosen_channels(state) % 2u != 0u) {
        put(writer, &padding, sizeof padding);
    }
}

static void put_state(writer_t *writer, const tt_state_t *state, const tt_state_header_t *header)
{
    uint32_t crc;
    uint32_t i;
    put(writer, header, sizeof *header);
    put_plan(writer, state);
    for (i = 0; i < state->layers; ++i) {
        put(writer, state->rows[i].pool, 4u * tt_trained_elements(&state->rows[i]));
    }
    if (state->sums != NULL) {
        put(writer, state->sums, 4u * state->classes * state->elements);
        put(writer, state->counts, 4u * state->classes);
    }
    crc = writer->crc;
    put(writer, &crc, CRC_BYTES);
    if (writer->filled > 0u && !writer->failed) {
        flush(writer);
    }
}

static bool erase(const tt_storage_t *storage, uint32_t offset, uint32_t bytes)
{
    uint32_t done;
    for (done = 0u; done < bytes; done += storage->block_bytes) {
        if (!storage->erase(storage->context, offset + done, storage->block_bytes)) {
            return false;
        }
    }
    return true;
}

/*
 * The header of the state that follows those in the storage, and where it goes: to the slot without the newest state of
 * ours, or of anybody. A slot that cannot be read (a torn page with a wrong ECC) may be overwritten while the other one
 * can; with neither, nobody knows which one holds the newest.
 */
static bool plan_save(const tt_state_t *state, const tt_storage_t *storage, tt_state_header_t *header, uint32_t *offset)
{
    survey_t survey;
    uint32_t kept;
    uint32_t last;
    look(state, storage, &survey);
    if (survey.failed[0] && survey.failed[1]) {
        return false;
    }
    last = newest(&survey, survey.complete);
    kept = newest(&survey, survey.ours);
    kept = kept == SLOTS ? last : kept;
    kept = kept == SLOTS && survey.failed[0] ? 0u : kept;
    memset(header, 0, sizeof *header);
    header->magic = TT_STATE_MAGIC;
    header->version = TT_STATE_VERSION;
    header->layers = (uint16_t)state->layers;
    header->sequence = last == SLOTS ? 1u : survey.slots[last].header.sequence + 1u;
    header->bytes = tt_state_size(state);
    memcpy(header->model, state->model, sizeof header->model);
    header->plan = plan_checksum(state);
    header->steps = state->steps;
    header->classes = state->sums == NULL ? 0u : state->classes;
    header->elements = state->sums == NULL ? 0u : state->elements;
    *offset = kept == 0u ? slot_bytes(storage) : 0u;
    return true;
}

/* Saving what has diverged would put it in the place of a good state. */
static bool learned_is_finite(const tt_state_t *state)
{
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        if (!tt_all_finite(state->rows[i].pool, tt_trained_elements(&state->rows[i]))) {
            return false;
        }
    }
    return state->sums == NULL || tt_all_finite(state->sums, state->classes * state->elements);
}

tt_status_t tt_state_save(const tt_state_t *state, const tt_storage_t *storage)
{
    writer_t writer;
    tt_state_header_t header;
    uint32_t offset;
    bool failed = false;
    const tt_status_t status = check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    if (slot_bytes(storage) < tt_state_size(state)) {
        return TT_ERROR_STORAGE_TOO_SMALL;
    }
    if (!learned_is_finite(state)) {
        return TT_ERROR_NOT_FINITE;
    }
    if (!plan_save(state, storage, &header, &offset) || !erase(storage, offset, header.bytes)) {
        return TT_ERROR_STORAGE;
    }
    writer.storage = storage;
    writer.offset = offset;
    writer.filled = 0u;
    writer.crc = 0u;
    writer.failed = false;
    put_state(&writer, state, &header);
    return !writer.failed && complete(storage, offset, &header, &failed) ? TT_OK : TT_ERROR_STORAGE;
}
