/* SPDX-License-Identifier: Apache-2.0 */
#include "storage_session.h"

#include <stdlib.h>
#include <string.h>

static void draw_plan(const build_t *build, uint16_t *counts, uint16_t *channels) {
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        uint16_t channel;
        counts[i] = 0u;
        for (channel = 0u; channel < build->totals[i]; ++channel) {
            if (draw(2u) == 0u) {
                channels[counts[i]++] = channel;
            }
        }
        channels += build->totals[i];
    }
}

void draw_build(build_t *build) {
    uint32_t i;
    memset(build, 0, sizeof *build);
    build->layers = 1u + draw(LAYERS);
    for (i = 0; i < build->layers; ++i) {
        build->numbers[i] = (uint16_t)(10u * i + draw(10u));
        build->totals[i] = (uint16_t)(1u + draw(MAX_CHANNELS));
        build->strides[i] = 2u * (1u + draw(MAX_STRIDE / 2u));
        build->limit += (uint64_t)build->totals[i] * build->strides[i];
    }
    if (draw(4u) != 0u) {
        build->classes = 1u + draw(3u);
        build->elements = 1u + draw(MAX_PROTOTYPE_FLOATS / 3u);
    }
    for (i = 0; i < TT_STATE_MODEL_BYTES; ++i) {
        build->model[i] = (uint8_t)draw(256u);
    }
    build->fixed = draw(2u) == 0u;
    draw_plan(build, build->counts, build->channels);
}

/* Rows where a plan puts them. rows: out, [layers]. */
static void place(const build_t *build, const uint16_t *counts, const uint16_t *channels, float *pool,
                  tt_rows_t *rows) {
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        const tt_rows_t placed = {NULL, pool, NULL, channels, build->strides[i], counts[i]};
        rows[i] = placed;
        pool += (size_t)counts[i] * build->strides[i];
        channels += build->totals[i];
    }
}

void draw_session(const build_t *build, session_t *session) {
    uint32_t i;
    memset(session, 0, sizeof *session);
    if (build->fixed) {
        memcpy(session->counts, build->counts, sizeof session->counts);
        memcpy(session->channels, build->channels, sizeof session->channels);
    } else {
        draw_plan(build, session->counts, session->channels);
    }
    place(build, session->counts, session->channels, session->pool, session->rows);
    for (i = 0; i < LAYERS * MAX_CHANNELS * MAX_STRIDE; ++i) {
        session->pool[i] = (float)draw(1000000u) / 1000.0f - 500.0f;
    }
    for (i = 0; i < build->classes * build->elements; ++i) {
        session->sums[i] = (float)draw(1000u) - 500.0f;
    }
    for (i = 0; i < build->classes; ++i) {
        session->enrolled[i] = draw(100u);
    }
    session->steps = draw(1000u);
}

static tt_state_t describe(const build_t *build, session_t *session) {
    tt_state_t state;
    memset(&state, 0, sizeof state);
    memcpy(state.model, build->model, sizeof state.model);
    state.numbers = build->numbers;
    state.channels_total = build->totals;
    state.rows = session->rows;
    state.layers = build->layers;
    state.fixed_plan = build->fixed;
    state.row_bytes = build->strides; /* in floats, as the limit is */
    state.rows_limit = build->limit;
    state.sums = build->classes == 0u ? NULL : session->sums;
    state.counts = build->classes == 0u ? NULL : session->enrolled;
    state.classes = build->classes;
    state.elements = build->elements;
    state.steps = session->steps;
    return state;
}

uint32_t largest(const build_t *build) {
    uint32_t bytes = (uint32_t)sizeof(tt_state_header_t) + 8u + 4u * build->classes * (build->elements + 1u);
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        bytes += 8u + build->totals[i] * (2u + 4u * build->strides[i]);
    }
    return bytes;
}

tt_status_t save(const build_t *build, session_t *session, medium_t *medium) {
    const tt_storage_t storage = storage_of(medium);
    const tt_state_t state = describe(build, session);
    return tt_state_save(&state, &storage);
}

/* The memory of a session to load into, to the byte, so that a sanitiser sees what goes beyond. */
typedef struct {
    tt_rows_t *rows;
    uint16_t *counts;
    uint16_t *channels;
    uint16_t *slots;
    float *pool;
    float *sums;
    uint32_t *enrolled;
} memory_t;

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    EXPECT(memory != NULL);
    memset(memory, 0, bytes);
    return memory;
}

static size_t channels_of(const build_t *build) {
    size_t sum = 0u;
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        sum += build->totals[i];
    }
    return sum;
}

static memory_t open_memory(const build_t *build) {
    const size_t channels = channels_of(build);
    memory_t memory;
    memory.rows = allocate(build->layers * sizeof *memory.rows);
    memory.counts = allocate(build->layers * sizeof *memory.counts);
    memory.channels = allocate(channels * sizeof *memory.channels);
    memory.slots = allocate(channels * sizeof *memory.slots);
    memory.pool = allocate((size_t)build->limit * sizeof *memory.pool);
    memory.sums = allocate((size_t)build->classes * build->elements * sizeof *memory.sums);
    memory.enrolled = allocate(build->classes * sizeof *memory.enrolled);
    return memory;
}

static void close_memory(memory_t *memory) {
    free(memory->rows);
    free(memory->counts);
    free(memory->channels);
    free(memory->slots);
    free(memory->pool);
    free(memory->sums);
    free(memory->enrolled);
}

/* What a build does with a plan that the board has chosen: look rows up by channel, and begin with the base rows. */
static void take_plan(const build_t *build, memory_t *memory) {
    uint16_t *slots = memory->slots;
    uint32_t i;
    uint32_t k;
    place(build, memory->counts, memory->channels, memory->pool, memory->rows);
    for (i = 0; i < build->layers; ++i) {
        for (k = 0; k < memory->rows[i].trained; ++k) {
            slots[memory->rows[i].channels[k]] = (uint16_t)k;
        }
        memset(memory->rows[i].pool, 0, tt_trained_elements(&memory->rows[i]) * sizeof(float));
        slots += build->totals[i];
    }
}

static void copy_out(const build_t *build, const memory_t *memory, session_t *session) {
    uint32_t i;
    size_t floats = 0u;
    for (i = 0; i < build->layers; ++i) {
        floats += tt_trained_elements(&memory->rows[i]);
    }
    memcpy(session->counts, memory->counts, build->layers * sizeof *memory->counts);
    memcpy(session->channels, memory->channels, channels_of(build) * sizeof *memory->channels);
    memcpy(session->pool, memory->pool, floats * sizeof *memory->pool);
    memcpy(session->sums, memory->sums, (size_t)build->classes * build->elements * sizeof *memory->sums);
    memcpy(session->enrolled, memory->enrolled, build->classes * sizeof *memory->enrolled);
}

tt_status_t load(const build_t *build, session_t *session, medium_t *medium) {
    const tt_storage_t storage = storage_of(medium);
    memory_t memory = open_memory(build);
    tt_state_t state;
    tt_state_slot_t slot;
    tt_status_t status;
    memset(session, 0, sizeof *session);
    if (build->fixed) {
        memcpy(memory.counts, build->counts, build->layers * sizeof *memory.counts);
        memcpy(memory.channels, build->channels, channels_of(build) * sizeof *memory.channels);
    }
    take_plan(build, &memory);
    state = describe(build, session);
    state.rows = memory.rows;
    state.sums = build->classes == 0u ? NULL : memory.sums;
    state.counts = build->classes == 0u ? NULL : memory.enrolled;
    status = tt_state_find(&state, &storage, &slot);
    if (status == TT_OK && !build->fixed) {
        status = tt_state_read_plan(&state, &slot, memory.counts, memory.channels);
        if (status == TT_OK) {
            take_plan(build, &memory);
        }
    }
    if (status == TT_OK) {
        status = tt_state_read_rows(&state, &slot);
    }
    if (status == TT_OK) {
        copy_out(build, &memory, session);
        session->steps = slot.header.steps;
    }
    close_memory(&memory);
    return status;
}

bool same(const build_t *build, const session_t *a, const session_t *b) {
    const uint16_t *of_a = a->channels;
    const uint16_t *of_b = b->channels;
    size_t floats = 0u;
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        if (a->counts[i] != b->counts[i] || memcmp(of_a, of_b, a->counts[i] * sizeof *of_a) != 0) {
            return false;
        }
        floats += (size_t)a->counts[i] * build->strides[i];
        of_a += build->totals[i];
        of_b += build->totals[i];
    }
    return a->steps == b->steps && memcmp(a->pool, b->pool, floats * sizeof(float)) == 0 &&
           memcmp(a->sums, b->sums, sizeof(float) * build->classes * build->elements) == 0 &&
           memcmp(a->enrolled, b->enrolled, sizeof(uint32_t) * build->classes) == 0;
}
