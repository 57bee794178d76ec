/* SPDX-License-Identifier: Apache-2.0 */
/* How the parts of a state follow each other, and how large they are. */
#include <stddef.h>

#include "tt_crc32.h"
#include "tt_state_parts.h"

uint32_t tt_state_channel_bytes(uint32_t channels) {
    return (2u * channels + 3u) / 4u * 4u;
}

uint32_t tt_state_chosen_channels(const tt_state_t *state) {
    uint32_t sum = 0u;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        sum += state->rows[i].trained;
    }
    return sum;
}

uint32_t tt_state_prototype_bytes(const tt_state_t *state) {
    return state->sums == NULL ? 0u : 4u * state->classes * (state->elements + 1u);
}

bool tt_state_part(const tt_state_t *state, uint32_t index, tt_state_part_t *part) {
    if (index < state->layers) {
        part->bytes = state->rows[index].pool;
        part->count = 4u * tt_trained_elements(&state->rows[index]);
        return true;
    }
    if (state->sums == NULL || index > state->layers + 1u) {
        return false;
    }
    part->bytes = state->counts;
    part->count = 4u * state->classes;
    if (index == state->layers) {
        part->bytes = state->sums;
        part->count *= state->elements;
    }
    return true;
}

uint32_t tt_state_size(const tt_state_t *state) {
    uint32_t bytes = (uint32_t)sizeof(tt_state_header_t) + TT_STATE_ENTRY_BYTES * state->layers +
                     tt_state_channel_bytes(tt_state_chosen_channels(state)) + TT_STATE_CRC_BYTES;
    tt_state_part_t part;
    uint32_t i;
    for (i = 0; tt_state_part(state, i, &part); ++i) {
        bytes += part.count;
    }
    return bytes;
}

void tt_state_plan(const tt_state_t *state, tt_state_sink_t sink, void *context) {
    static const uint16_t padding = TT_STATE_PADDING;
    uint32_t i;
    for (i = 0; i < state->layers; ++i) {
        const tt_rows_t *rows = &state->rows[i];
        const tt_state_entry_t entry = {state->numbers[i], (uint16_t)rows->trained, rows->stride};
        sink(context, &entry, TT_STATE_ENTRY_BYTES);
    }
    for (i = 0; i < state->layers; ++i) {
        sink(context, state->rows[i].channels, 2u * state->rows[i].trained);
    }
    if (tt_state_chosen_channels(state) % 2u != 0u) {
        sink(context, &padding, sizeof padding);
    }
}

static void add_to_checksum(void *context, const void *bytes, uint32_t count) {
    uint32_t *crc = context;
    *crc = tt_crc32(*crc, bytes, count);
}

uint32_t tt_state_plan_checksum(const tt_state_t *state, uint32_t crc) {
    tt_state_plan(state, add_to_checksum, &crc);
    return crc;
}
