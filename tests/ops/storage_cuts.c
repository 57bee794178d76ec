/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts of power and corruptions of saved states. Usage: storage_cuts SEED TRIALS CORRUPTIONS.
 *
 * After every cut, what loads has to be exactly the state before or the state that was being saved. Prints counts.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage_session.h"
#include "tt_crc32.h"

/* ---- refusals ---- */

static struct { uint32_t diverged, crowded, foreign, small; } refusal_counts;

/* What must not be saved, or not be loaded, leaves what is there alone. */
static void check_refusals(void) {
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

static struct { uint32_t cuts, in_erase, old, new, none, repaired; } cut_counts;

static void cut_everywhere(void) {
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

static struct { uint32_t flipped, truncated, swapped, overwritten, refused, older, newest, forged; } corruption_counts;

static void swap_slots(medium_t *medium) {
    const uint32_t slot = medium->bytes / 2u / medium->block * medium->block;
    uint32_t i;
    for (i = 0; i < slot; ++i) {
        const uint8_t kept = medium->memory[i];
        medium->memory[i] = medium->memory[slot + i];
        medium->memory[slot + i] = kept;
    }
}

static void overwrite(medium_t *medium, uint32_t first, uint32_t count) {
    uint32_t i;
    for (i = first; i < first + count && i < medium->bytes; ++i) {
        medium->memory[i] = (uint8_t)draw(256u);
    }
}

static void corrupt(medium_t *medium) {
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

/* Make both checksums of a slot fit what it says, as far as it stays within itself. */
static void seal(uint8_t *bytes, uint32_t slot) {
    tt_state_header_t header;
    uint32_t plan = 8u;
    uint32_t chosen = 0u;
    uint32_t crc;
    uint32_t i;
    memcpy(&header, bytes, sizeof header);
    plan *= header.layers;
    for (i = 0; i < header.layers && sizeof header + plan <= slot; ++i) {
        uint16_t count;
        memcpy(&count, bytes + sizeof header + 8u * i + 2u, sizeof count);
        chosen += count;
    }
    plan += (2u * chosen + 3u) / 4u * 4u;
    if (sizeof header + plan <= slot) {
        header.plan = tt_crc32(0u, bytes + sizeof header, plan);
        memcpy(bytes, &header, sizeof header);
    }
    if (header.bytes >= sizeof header + sizeof crc && header.bytes <= slot) {
        crc = tt_crc32(0u, bytes, header.bytes - sizeof crc);
        memcpy(bytes + header.bytes - sizeof crc, &crc, sizeof crc);
    }
}

/* A field changed and the checksums made to fit: nobody's state, but no reason to leave the memory that is there. */
static void forge(const build_t *build, medium_t medium) {
    static session_t found;
    const uint32_t slot_before = medium.bytes / 2u / medium.block * medium.block;
    uint32_t slot = slot_before;
    uint32_t s;
    if (draw(4u) == 0u) {
        /* As if the build were smaller: a slot that ends with the storage, behind the header or somewhat later. */
        slot = ((uint32_t)sizeof(tt_state_header_t) + 4u + draw(32u) + medium.block - 1u) / medium.block * medium.block;
        slot = slot < slot_before ? slot : slot_before;
        memmove(medium.memory + slot, medium.memory + slot_before, slot);
        medium.bytes = 2u * slot;
    }
    for (s = 0; s < 2u; ++s) {
        uint8_t *bytes = medium.memory + s * slot;
        uint32_t i;
        if (slot < slot_before) {
            memcpy(bytes + offsetof(tt_state_header_t, bytes), &slot, sizeof slot);
        }
        /* What a load depends on stands at the front. */
        for (i = 1u + draw(3u); i > 0u; --i) {
            bytes[sizeof(tt_state_header_t) - 12u + draw(40u) % (slot - sizeof(tt_state_header_t))] =
                (uint8_t)(draw(2u) == 0u ? draw(256u) : draw(8u));
        }
        seal(bytes, slot);
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

static void corrupt_often(uint32_t times) {
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

int main(int argument_count, char **arguments) {
    uint32_t trial;
    EXPECT(argument_count == 4);
    seed((uint32_t)strtoul(arguments[1], NULL, 10));
    for (trial = (uint32_t)strtoul(arguments[2], NULL, 10); trial > 0u; --trial) {
        check_refusals();
        cut_everywhere();
    }
    for (trial = (uint32_t)strtoul(arguments[3], NULL, 10) / 100u; trial > 0u; --trial) {
        corrupt_often(100u);
    }
    printf("cuts %u in_erase %u old %u new %u none %u repaired %u\n", cut_counts.cuts, cut_counts.in_erase,
           cut_counts.old, cut_counts.new, cut_counts.none, cut_counts.repaired);
    printf("flipped %u truncated %u swapped %u overwritten %u refused %u older %u newest %u forged %u\n",
           corruption_counts.flipped, corruption_counts.truncated, corruption_counts.swapped,
           corruption_counts.overwritten, corruption_counts.refused, corruption_counts.older, corruption_counts.newest,
           corruption_counts.forged);
    printf("diverged %u crowded %u foreign %u small %u\n", refusal_counts.diverged, refusal_counts.crowded,
           refusal_counts.foreign, refusal_counts.small);
    return 0;
}
