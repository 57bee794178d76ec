/* SPDX-License-Identifier: Apache-2.0 */
#include "storage_session.h"

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

/* Rows where the plan of the session puts them. */
static void place(const build_t *build, session_t *session) {
    float *pool = session->pool;
    const uint16_t *channels = session->channels;
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        const tt_rows_t rows = {NULL, pool, NULL, channels, build->strides[i], session->counts[i]};
        session->rows[i] = rows;
        pool += (size_t)session->counts[i] * build->strides[i];
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
    place(build, session);
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

tt_status_t load(const build_t *build, session_t *session, medium_t *medium) {
    const tt_storage_t storage = storage_of(medium);
    tt_state_t state;
    tt_state_slot_t slot;
    tt_status_t status;
    memset(session, 0, sizeof *session);
    if (build->fixed) {
        memcpy(session->counts, build->counts, sizeof session->counts);
        memcpy(session->channels, build->channels, sizeof session->channels);
    }
    place(build, session);
    state = describe(build, session);
    status = tt_state_find(&state, &storage, &slot);
    if (status == TT_OK && !build->fixed) {
        status = tt_state_read_plan(&state, &slot, session->counts, session->channels);
        place(build, session);
    }
    if (status == TT_OK) {
        status = tt_state_read_rows(&state, &slot);
        session->steps = slot.header.steps;
    }
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
