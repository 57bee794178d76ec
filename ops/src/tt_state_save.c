/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a state into the slot that does not hold the newest one. */
#include <string.h>

#include "tt_crc32.h"
#include "tt_finite.h"
#include "tt_state_parts.h"

#define PADDING 0xffffu

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

static void flush(writer_t *writer) {
    const tt_storage_t *storage = writer->storage;
    memset(writer->page.bytes + writer->filled, 0xff, storage->page_bytes - writer->filled);
    writer->failed =
        writer->failed || !storage->write(storage->context, writer->offset, writer->page.bytes, storage->page_bytes);
    writer->offset += storage->page_bytes;
    writer->filled = 0u;
}

static void put(writer_t *writer, const void *bytes, uint32_t count) {
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

static tt_state_entry_t entry_of(const tt_state_t *state, uint32_t layer) {
    const tt_rows_t *rows = &state->rows[layer];
    const tt_state_entry_t entry = {state->numbers[layer], (uint16_t)rows->trained, rows->stride};
    return entry;
}

static const uint16_t padding = PADDING;

static uint32_t plan_checksum(const tt_state_t *state) {
    uint32_t crc = 0u;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const tt_state_entry_t entry = entry_of(state, i);
        crc = tt_crc32(crc, &entry, sizeof entry);
    }
    for (i = 0; i < state->layers; ++i) {
        crc = tt_crc32(crc, state->rows[i].channels, 2u * state->rows[i].trained);
    }
    return tt_state_chosen_channels(state) % 2u == 0u ? crc : tt_crc32(crc, &padding, sizeof padding);
}

static void put_plan(writer_t *writer, const tt_state_t *state) {
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const tt_state_entry_t entry = entry_of(state, i);
        put(writer, &entry, sizeof entry);
    }
    for (i = 0; i < state->layers; ++i) {
        put(writer, state->rows[i].channels, 2u * state->rows[i].trained);
    }
    if (tt_state_chosen_channels(state) % 2u != 0u) {
        put(writer, &padding, sizeof padding);
    }
}

static void put_state(writer_t *writer, const tt_state_t *state, const tt_state_header_t *header) {
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
    put(writer, &crc, TT_STATE_CRC_BYTES);
    if (writer->filled > 0u && !writer->failed) {
        flush(writer);
    }
}

static bool erase(const tt_storage_t *storage, uint32_t offset, uint32_t bytes) {
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
static bool plan_save(const tt_state_t *state, const tt_storage_t *storage, tt_state_header_t *header,
                      uint32_t *offset) {
    tt_state_survey_t survey;
    uint32_t kept;
    uint32_t last;
    tt_state_look(state, storage, &survey);
    if (survey.failed[0] && survey.failed[1]) {
        return false;
    }
    last = tt_state_newest_among(&survey, survey.complete);
    kept = tt_state_newest_among(&survey, survey.ours);
    kept = kept == TT_STATE_SLOTS ? last : kept;
    kept = kept == TT_STATE_SLOTS && survey.failed[0] ? 0u : kept;
    memset(header, 0, sizeof *header);
    header->magic = TT_STATE_MAGIC;
    header->version = TT_STATE_VERSION;
    header->layers = (uint16_t)state->layers;
    header->sequence = last == TT_STATE_SLOTS ? 1u : survey.slots[last].header.sequence + 1u;
    header->bytes = tt_state_size(state);
    memcpy(header->model, state->model, sizeof header->model);
    header->plan = plan_checksum(state);
    header->steps = state->steps;
    header->classes = state->sums == NULL ? 0u : state->classes;
    header->elements = state->sums == NULL ? 0u : state->elements;
    *offset = kept == 0u ? tt_state_slot_bytes(storage) : 0u;
    return true;
}

/* Saving what has diverged would put it in the place of a good state. */
static bool learned_is_finite(const tt_state_t *state) {
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        if (!tt_all_finite(state->rows[i].pool, tt_trained_elements(&state->rows[i]))) {
            return false;
        }
    }
    return state->sums == NULL || tt_all_finite(state->sums, state->classes * state->elements);
}

tt_status_t tt_state_save(const tt_state_t *state, const tt_storage_t *storage) {
    writer_t writer;
    tt_state_header_t header;
    uint32_t offset;
    bool failed = false;
    const tt_status_t status = tt_state_check_storage(storage);
    if (status != TT_OK) {
        return status;
    }
    if (tt_state_slot_bytes(storage) < tt_state_size(state)) {
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
    return !writer.failed && tt_state_complete(storage, offset, &header, &failed) ? TT_OK : TT_ERROR_STORAGE;
}
