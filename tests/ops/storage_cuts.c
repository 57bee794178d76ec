/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts of power and corruptions of saved states. Usage: storage_cuts SEED TRIALS CORRUPTIONS.
 *
 * A medium that loses power after a given number of bytes, erased or written, and leaves what it was working on torn.
 * After every cut, what loads has to be exactly the state before or the state that was being saved. Prints counts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_crc32.h"
#include "tt_state.h"

#define EXPECT(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))
#define LAYERS 4u
#define MAX_CHANNELS 8u
#define MAX_STRIDE 8u
#define MAX_PROTOTYPE_FLOATS 24u
#define MAX_STORAGE_BYTES 16384u
#define FULL_BATTERY UINT32_MAX

static uint32_t generator = 1u;

static void fail(const char *condition, int line)
{
    fprintf(stderr, "line %d: expected %s\n", line, condition);
    exit(1);
}

static uint32_t draw(uint32_t below)
{
    generator ^= generator << 13;
    generator ^= generator >> 17;
    generator ^= generator << 5;
    return generator % below;
}

/* ---- a medium ---- */

typedef struct {
    uint8_t memory[MAX_STORAGE_BYTES];
    bool erased[MAX_STORAGE_BYTES]; /* by page; flash alone */
    uint32_t bytes;
    uint32_t page;
    uint32_t block;
    bool flash;       /* else it is overwritten in place, and erasing does nothing */
    uint32_t battery; /* bytes that can still be erased or written */
    uint32_t used;
    uint32_t erases;
} medium_t;

static bool powered(const medium_t *medium)
{
    return medium->battery > 0u;
}

/* How many of count bytes the battery lasts for. */
static uint32_t drain(medium_t *medium, uint32_t count)
{
    const uint32_t lasting = count < medium->battery ? count : medium->battery;
    medium->used += lasting;
    if (medium->battery != FULL_BATTERY) {
        medium->battery -= lasting;
    }
    return lasting;
}

/* What a cut leaves of bytes that were being changed: the old ones, random ones, or some bits turned. */
static void tear(uint8_t *bytes, uint32_t count)
{
    const uint32_t manner = draw(3u);
    uint32_t i;
    for (i = 0; i < count && manner != 0u; ++i) {
        bytes[i] = (uint8_t)(manner == 1u ? draw(256u) : bytes[i] & draw(256u));
    }
}

static bool medium_read(void *context, uint32_t offset, void *bytes, uint32_t count)
{
    const medium_t *medium = context;
    EXPECT(count >= 1u && offset <= medium->bytes && count <= medium->bytes - offset);
    if (!powered(medium)) {
        return false;
    }
    memcpy(bytes, medium->memory + offset, count);
    return true;
}

static bool medium_write(void *context, uint32_t offset, const void *bytes, uint32_t count)
{
    medium_t *medium = context;
    uint32_t lasting;
    EXPECT(count == medium->page && offset % count == 0u && offset <= medium->bytes - count);
    EXPECT(((uintptr_t)bytes & 7u) == 0u);
    if (!powered(medium)) {
        return false;
    }
    EXPECT(!medium->flash || medium->erased[offset / count]);
    medium->erased[offset / count] = false;
    lasting = drain(medium, count);
    memcpy(medium->memory + offset, bytes, lasting);
    tear(medium->memory + offset + lasting, count - lasting);
    return powered(medium);
}

static bool medium_erase(void *context, uint32_t offset, uint32_t count)
{
    medium_t *medium = context;
    uint32_t lasting;
    uint32_t i;
    EXPECT(count == medium->block && offset % count == 0u && offset <= medium->bytes - count);
    if (!powered(medium)) {
        return false;
    }
    if (!medium->flash) {
        return true;
    }
    medium->erases += 1u;
    lasting = drain(medium, count);
    memset(medium->memory + offset, 0xff, lasting);
    tear(medium->memory + offset + lasting, count - lasting);
    for (i = 0; i < count / medium->page && lasting == count; ++i) {
        medium->erased[offset / medium->page + i] = true;
    }
    return powered(medium);
}

static uint32_t medium_size(void *context)
{
    const medium_t *medium = context;
    return medium->bytes;
}

static tt_storage_t storage_of(medium_t *medium)
{
    const tt_storage_t storage = {medium_read, medium_write, medium_erase, medium_size,
                                  medium,      medium->page, medium->block};
    return storage;
}

static void draw_medium(medium_t *medium, uint32_t state_bytes)
{
    static const uint32_t SIZES[][2] = {{1u, 1u}, {4u, 4u}, {8u, 64u}, {16u, 128u}, {32u, 32u}, {256u, 256u}, {24u, 72u}};
    const uint32_t *size = SIZES[draw(sizeof SIZES / sizeof SIZES[0])];
    uint32_t slot;
    uint32_t i;
    medium->page = size[0];
    medium->block = size[1];
    slot = (state_bytes + medium->block - 1u) / medium->block * medium->block;
    /* A remainder behind the second slot belongs to nobody. */
    medium->bytes = 2u * (slot + draw(2u) * medium->block) + draw(medium->block);
    medium->flash = draw(3u) != 0u;
    medium->battery = FULL_BATTERY;
    medium->used = 0u;
    medium->erases = 0u;
    memset(medium->erased, 0, sizeof medium->erased);
    for (i = 0; i < medium->bytes; ++i) {
        medium->memory[i] = (uint8_t)draw(256u);
    }
}

/* ---- what is saved ---- */

typedef struct {
    tt_rows_t rows[LAYERS];
    uint16_t counts[LAYERS];
    uint16_t channels[LAYERS * MAX_CHANNELS];
    float pool[LAYERS * MAX_CHANNELS * MAX_STRIDE];
    float sums[MAX_PROTOTYPE_FLOATS];
    uint32_t enrolled[MAX_PROTOTYPE_FLOATS];
    uint32_t steps;
} session_t;

/* What the states of a trial have in common. */
typedef struct {
    uint16_t numbers[LAYERS];
    uint16_t totals[LAYERS];
    uint32_t strides[LAYERS];
    uint32_t layers;
    uint32_t classes;
    uint32_t elements;
    uint64_t limit;
    uint8_t model[TT_STATE_MODEL_BYTES];
    bool fixed;
    uint16_t counts[LAYERS];
    uint16_t channels[LAYERS * MAX_CHANNELS];
} build_t;

static void draw_plan(const build_t *build, uint16_t *counts, uint16_t *channels)
{
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

static void draw_build(build_t *build)
{
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
static void place(const build_t *build, session_t *session)
{
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

static void draw_session(const build_t *build, session_t *session)
{
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

static tt_state_t describe(const build_t *build, session_t *session)
{
    tt_state_t state;
    memset(&state, 0, sizeof state);
    memcpy(state.model, build->model, sizeof state.model);
    state.numbers = build->numbers;
    state.channels_total = build->totals;
    state.rows = session->rows;
    state.layers = build->layers;
    state.fixed_plan = build->fixed;
    state.rows_limit = build->limit;
    state.sums = build->classes == 0u ? NULL : session->sums;
    state.counts = build->classes == 0u ? NULL : session->enrolled;
    state.classes = build->classes;
    state.elements = build->elements;
    state.steps = session->steps;
    return state;
}

static uint32_t largest(const build_t *build)
{
    uint32_t bytes = (uint32_t)sizeof(tt_state_header_t) + 8u + 4u * build->classes * (build->elements + 1u);
    uint32_t i;
    for (i = 0; i < build->layers; ++i) {
        bytes += 8u + build->totals[i] * (2u + 4u * build->strides[i]);
    }
    return bytes;
}

static tt_status_t save(const build_t *build, session_t *session, medium_t *medium)
{
    const tt_storage_t storage = storage_of(medium);
    const tt_state_t state = describe(build, session);
    return tt_state_save(&state, &storage);
}

/* As tt_load of a generated build does it, into a session without anything learned. */
static tt_status_t load(const build_t *build, session_t *session, medium_t *medium)
{
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

static bool same(const build_t *build, const session_t *a, const session_t *b)
{
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

/* ---- refusals ---- */

static struct {
    uint32_t diverged, crowded, foreign, small;
} refusal_counts;

/* What must not be saved, or not be loaded, leaves what is there alone. */
static void check_refusals(void)
{
    static medium_t medium, before;
    static session_t saved, found;
    build_t build;
    build_t other;
    uint32_t floats = 0u;
    uint32_t i;
    draw_build(&build);
    draw_medium(&medium, largest(&build));
    draw_session(&build, &saved);
    EXPECT(save(&build, &saved, &medium) == TT_OK);
    for (i = 0; i < build.layers; ++i) {
        floats += tt_trained_elements(&saved.rows[i]);
    }
    before = medium;
    if (floats > 0u) {
        const float kept = saved.pool[floats - 1u];
        saved.pool[floats - 1u] = draw(2u) == 0u ? (float)NAN : (float)INFINITY;
        EXPECT(save(&build, &saved, &medium) == TT_ERROR_NOT_FINITE);
        EXPECT(memcmp(&medium, &before, sizeof medium) == 0);
        saved.pool[floats - 1u] = kept;
        refusal_counts.diverged += 1u;
    }
    if (floats > 0u && !build.fixed) {
        other = build;
        other.limit = floats - 1u;
        EXPECT(load(&other, &found, &medium) == TT_ERROR_OTHER_STATE);
        refusal_counts.crowded += 1u;
    }
    other = build;
    other.model[draw(TT_STATE_MODEL_BYTES)] ^= 1u;
    EXPECT(load(&other, &found, &medium) == TT_ERROR_OTHER_STATE);
    /* The state of the other model is kept while this one is saved. */
    EXPECT(save(&other, &saved, &medium) == TT_OK);
    EXPECT(load(&build, &found, &medium) == TT_OK && same(&build, &found, &saved));
    EXPECT(load(&other, &found, &medium) == TT_OK && same(&build, &found, &saved));
    refusal_counts.foreign += 1u;
    before.bytes = 2u * (uint32_t)sizeof(tt_state_header_t);
    EXPECT(save(&build, &saved, &before) == TT_ERROR_STORAGE_TOO_SMALL);
    refusal_counts.small += 1u;
}

/* ---- cuts ---- */

static struct {
    uint32_t cuts, in_erase, old, new, none, repaired;
} cut_counts;

static void cut_everywhere(void)
{
    static medium_t before, medium;
    static session_t older, old, new, next, found;
    build_t build;
    uint32_t history = draw(4u); /* saves before the one that is cut */
    uint32_t total;
    uint32_t erased;
    uint32_t cut;
    draw_build(&build);
    draw_medium(&before, largest(&build));
    draw_session(&build, &older);
    draw_session(&build, &old);
    draw_session(&build, &new);
    draw_session(&build, &next);
    for (cut = 0; cut < history; ++cut) {
        EXPECT(save(&build, cut + 1u == history ? &old : &older, &before) == TT_OK);
    }
    medium = before;
    medium.used = medium.erases = 0u;
    EXPECT(save(&build, &new, &medium) == TT_OK);
    EXPECT(load(&build, &found, &medium) == TT_OK && same(&build, &found, &new));
    total = medium.used;
    erased = medium.erases * medium.block;
    for (cut = 1u; cut <= total; ++cut) {
        tt_status_t status;
        medium = before;
        medium.battery = cut;
        EXPECT(save(&build, &new, &medium) == TT_ERROR_STORAGE);
        medium.battery = FULL_BATTERY;
        status = load(&build, &found, &medium);
        cut_counts.cuts += 1u;
        cut_counts.in_erase += cut <= erased ? 1u : 0u;
        if (status == TT_OK && same(&build, &found, &new)) {
            cut_counts.new += 1u;
        } else if (history == 0u) {
            EXPECT(status == TT_ERROR_NO_STATE);
            cut_counts.none += 1u;
        } else {
            EXPECT(status == TT_OK && same(&build, &found, &old));
            cut_counts.old += 1u;
        }
        if (draw(8u) == 0u) {
            EXPECT(save(&build, &next, &medium) == TT_OK);
            EXPECT(load(&build, &found, &medium) == TT_OK && same(&build, &found, &next));
            cut_counts.repaired += 1u;
        }
    }
}

/* ---- corruptions ---- */

static struct {
    uint32_t flipped, truncated, swapped, overwritten, refused, older, newest, forged;
} corruption_counts;

static void swap_slots(medium_t *medium)
{
    const uint32_t slot = medium->bytes / 2u / medium->block * medium->block;
    uint32_t i;
    for (i = 0; i < slot; ++i) {
        const uint8_t kept = medium->memory[i];
        medium->memory[i] = medium->memory[slot + i];
        medium->memory[slot + i] = kept;
    }
}

static void overwrite(medium_t *medium, uint32_t first, uint32_t count)
{
    uint32_t i;
    for (i = first; i < first + count && i < medium->bytes; ++i) {
        medium->memory[i] = (uint8_t)draw(256u);
    }
}

static void corrupt(medium_t *medium)
{
    uint32_t i;
    switch (draw(4u)) {
    case 0u:
        for (i = 1u + draw(8u); i > 0u; --i) {
            medium->memory[draw(medium->bytes)] ^= (uint8_t)(1u << draw(8u));
        }
        corruption_counts.flipped += 1u;
        break;
    case 1u:
        if (draw(2u) == 0u) {
            medium->bytes = draw(medium->bytes); /* the medium itself has shrunk, and with it both slots */
        } else {
            overwrite(medium, draw(medium->bytes), medium->bytes);
        }
        corruption_counts.truncated += 1u;
        break;
    case 2u:
        swap_slots(medium);
        corruption_counts.swapped += 1u;
        break;
    default:
        overwrite(medium, draw(medium->bytes), 1u + draw(64u));
        corruption_counts.overwritten += 1u;
    }
}

/* A field changed and the checksum made to fit: nobody's state, but no reason to leave the memory that is there. */
static void forge(const build_t *build, medium_t medium)
{
    static session_t found;
    const uint32_t slot = medium.bytes / 2u / medium.block * medium.block;
    uint32_t s;
    for (s = 0; s < 2u; ++s) {
        uint8_t *bytes = medium.memory + s * slot;
        tt_state_header_t header;
        uint32_t crc;
        uint32_t i;
        /* What a load depends on stands at the front. */
        for (i = 1u + draw(3u); i > 0u; --i) {
            bytes[sizeof header - 12u + draw(40u) % (slot - sizeof header)] = (uint8_t)(draw(2u) == 0u ? draw(256u) : draw(8u));
        }
        memcpy(&header, bytes, sizeof header);
        if (header.bytes >= sizeof header + sizeof crc && header.bytes <= slot) {
            crc = tt_crc32(0u, bytes, header.bytes - sizeof crc);
            memcpy(bytes + header.bytes - sizeof crc, &crc, sizeof crc);
        }
    }
    if (load(build, &found, &medium) == TT_OK) {
        const uint16_t *channels = found.channels;
        uint32_t i;
        uint32_t k;
        for (i = 0; i < build->layers; ++i) {
            EXPECT(found.counts[i] <= build->totals[i]);
            EXPECT(!build->fixed || found.counts[i] == build->counts[i]);
            for (k = 0; k < found.counts[i]; ++k) {
                EXPECT(channels[k] < build->totals[i] && (k == 0u || channels[k] > channels[k - 1u]));
            }
            channels += build->totals[i];
        }
    }
    corruption_counts.forged += 1u;
}

static void corrupt_often(uint32_t times)
{
    static medium_t before, medium;
    static session_t old, new, found;
    build_t build;
    uint32_t i;
    draw_build(&build);
    draw_medium(&before, largest(&build));
    draw_session(&build, &old);
    draw_session(&build, &new);
    old.steps = new.steps + 1u;
    EXPECT(save(&build, &old, &before) == TT_OK && save(&build, &new, &before) == TT_OK);
    for (i = 0; i < times; ++i) {
        tt_status_t status;
        medium = before;
        corrupt(&medium);
        status = load(&build, &found, &medium);
        if (status == TT_OK && same(&build, &found, &new)) {
            corruption_counts.newest += 1u;
        } else if (status == TT_OK) {
            EXPECT(same(&build, &found, &old));
            corruption_counts.older += 1u;
        } else {
            EXPECT(status == TT_ERROR_NO_STATE || status == TT_ERROR_STORAGE);
            corruption_counts.refused += 1u;
        }
        forge(&build, before);
    }
}

int main(int argument_count, char **arguments)
{
    uint32_t trial;
    EXPECT(argument_count == 4);
    generator = (uint32_t)strtoul(arguments[1], NULL, 10);
    for (trial = (uint32_t)strtoul(arguments[2], NULL, 10); trial > 0u; --trial) {
        check_refusals();
        cut_everywhere();
    }
    for (trial = (uint32_t)strtoul(arguments[3], NULL, 10) / 100u; trial > 0u; --trial) {
        corrupt_often(100u);
    }
    printf("cuts %u in_erase %u old %u new %u none %u repaired %u\n", cut_counts.cuts, cut_counts.in_erase, cut_counts.old,
           cut_counts.new, cut_counts.none, cut_counts.repaired);
    printf("flipped %u truncated %u swapped %u overwritten %u refused %u older %u newest %u forged %u\n",
           corruption_counts.flipped, corruption_counts.truncated, corruption_counts.swapped,
           corruption_counts.overwritten, corruption_counts.refused, corruption_counts.older,
           corruption_counts.newest, corruption_counts.forged);
    printf("diverged %u crowded %u foreign %u small %u\n", refusal_counts.diverged, refusal_counts.crowded,
           refusal_counts.foreign, refusal_counts.small);
    return 0;
}
