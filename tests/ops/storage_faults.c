/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes of a storage that fail, or change a bit without telling. Usage: storage_faults SEED ROUNDS.
 *
 * At every read and write of a save and of a load, for small builds of every kind and storages with every kind of
 * content. A few bad reads cost nothing: the load gives what it would have given, the save has been done. Of more, a load
 * gives a state that was saved or an error. A save that says OK, whatever went wrong, is found by the next load without
 * a fault; one that does not leaves the newest state before it, or is found all the same. Prints counts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage_session.h"
#include "tt_crc32.h"

#define FEW 3u /* bad reads in a row cost nothing either */
#define MANY 1000u
#define LARGEST_STATE 200u
#define SAMPLED_BITS 12u

/* What the storage has seen: so many saves of the build, or one of it and then one of another model. */
enum {
    FOREIGN_LAST = 4,
    HISTORIES
};

static build_t build;
static medium_t before; /* the storage before save or load */
static medium_t medium;
static session_t older, old, new, found;
static tt_status_t before_status; /* of a load without a fault */
static uint32_t history;

static struct { uint32_t loads, saves, writes, bursts, saved, unsaved, broken, restored, cuts, poisoned; } counts;

static void draw_history(bool fixed, bool prototypes, uint32_t saves) {
    build_t other;
    uint32_t i;
    do {
        draw_build(&build);
    } while (build.fixed != fixed || (build.classes > 0u) != prototypes || build.layers < 2u ||
             largest(&build) > LARGEST_STATE);
    draw_medium(&before, largest(&build));
    draw_session(&build, &older);
    draw_session(&build, &old);
    draw_session(&build, &new);
    history = saves;
    for (i = saves == FOREIGN_LAST ? 1u : saves; i > 0u; --i) {
        EXPECT(save(&build, i == 1u ? &old : &older, &before) == TT_OK);
    }
    if (saves == FOREIGN_LAST) {
        other = build;
        other.model[0] ^= 1u;
        EXPECT(save(&other, &older, &before) == TT_OK);
    }
    medium = before;
    before_status = load(&build, &found, &medium);
    EXPECT(before_status == (saves == 0u ? TT_ERROR_NO_STATE : TT_OK));
}

static bool loads(const session_t *expected) {
    return load(&build, &found, &medium) == TT_OK && same(&build, &found, expected);
}

static bool loads_as_before(void) {
    const tt_status_t status = load(&build, &found, &medium);
    return status == before_status && (status != TT_OK || same(&build, &found, &old));
}

/* Without faults from now on: save has said status. */
static void check_saved(tt_status_t status) {
    strike(&medium, NO_FAULT, 0u, 0u, 0u);
    medium.broken = NO_PAGE;
    medium.battery = FULL_BATTERY;
    EXPECT(loads(&new) || (status != TT_OK && loads_as_before()));
    counts.saved += status == TT_OK ? 1u : 0u;
    counts.unsaved += status == TT_OK ? 0u : 1u;
}

/* ---- one bad read ---- */

static void load_badly(fault_kind_t kind, uint32_t read, uint32_t bit) {
    medium = before;
    strike(&medium, kind, read, 1u, bit);
    EXPECT(loads_as_before());
    counts.loads += 1u;
}

static void save_badly(fault_kind_t kind, uint32_t read, uint32_t bit) {
    medium = before;
    strike(&medium, kind, read, 1u, bit);
    EXPECT(save(&build, &new, &medium) == TT_OK);
    check_saved(TT_OK);
    counts.saves += 1u;
}

/* Every read of what has just been done to medium: every bit of what steers, some of what is long. */
static void at_every_read(void (*badly)(fault_kind_t kind, uint32_t read, uint32_t bit)) {
    static uint32_t bytes[MAX_READS];
    const uint32_t reads = medium.reads;
    uint32_t read;
    EXPECT(reads <= MAX_READS);
    memcpy(bytes, medium.read_bytes, sizeof bytes);
    for (read = 1u; read <= reads; ++read) {
        const uint32_t bits = 8u * bytes[read - 1u];
        uint32_t k;
        badly(READ_ERROR, read, 0u);
        for (k = 0; k < (bits <= 64u ? bits : SAMPLED_BITS); ++k) {
            badly(READ_FLIP, read, bits <= 64u ? k : draw(bits));
        }
    }
}

/* ---- bad writes, and many bad reads ---- */

static void write_badly(uint32_t writes) {
    static const fault_kind_t KINDS[] = {WRITE_ERROR, WRITE_FLIP, WRITE_LOST};
    uint32_t write;
    for (write = 1u; write <= writes; ++write) {
        uint32_t k;
        for (k = 0; k < 3u; ++k) {
            medium = before;
            strike(&medium, KINDS[k], write, draw(3u) == 0u ? MANY : 1u, draw(8u * medium.page));
            check_saved(save(&build, &new, &medium));
            counts.writes += 1u;
        }
    }
}

/* What a load gives has been saved, and not long ago. */
static void check_load(bool as_before) {
    const tt_status_t status = load(&build, &found, &medium);
    EXPECT(as_before ? status == TT_OK && same(&build, &found, &old)
                     : status != TT_OK || same(&build, &found, &old) || same(&build, &found, &older));
}

static void burst(uint32_t reads_of_load, uint32_t reads_of_save) {
    static const uint32_t TIMES[] = {FEW - 1u, FEW, 8u, 30u, MANY};
    uint32_t trial;
    for (trial = 0u; trial < 200u; ++trial) {
        const fault_kind_t kind = draw(2u) == 0u ? READ_ERROR : READ_FLIP;
        const uint32_t times = TIMES[draw(5u)];
        tt_status_t status;
        medium = before;
        strike(&medium, kind, 1u + draw(reads_of_load), times, draw(512u));
        check_load(times <= FEW && before_status == TT_OK);
        medium = before;
        strike(&medium, kind, 1u + draw(reads_of_save), times, draw(512u));
        status = save(&build, &new, &medium);
        EXPECT(times > FEW || status == TT_OK);
        check_saved(status);
        counts.bursts += 1u;
    }
}

/* ---- a page that cannot be read ---- */

/* What the storage loads while a page of it is broken is what a cut of power during the next save must not take. */
static void break_page(uint32_t page) {
    medium_t broken = before;
    session_t kept;
    tt_status_t status;
    tt_status_t kept_status;
    uint32_t used;
    uint32_t k;
    broken.broken = page;
    medium = broken;
    kept_status = load(&build, &kept, &medium);
    check_load(false);
    medium.used = 0u;
    status = save(&build, &new, &medium);
    used = medium.used;
    if (status == TT_OK) {
        EXPECT(loads(&new)); /* as long as the page stays as it is, too */
    }
    check_saved(status);
    counts.broken += 1u;
    counts.restored += kept_status == TT_OK && !same(&build, &kept, &old) ? 1u : 0u;
    for (k = 0u; k < 8u && used > 0u; ++k) {
        medium = broken;
        medium.battery = 1u + draw(used);
        EXPECT(save(&build, &new, &medium) == TT_ERROR_STORAGE);
        medium.battery = FULL_BATTERY;
        status = load(&build, &found, &medium);
        EXPECT(status == TT_OK ? same(&build, &found, &new) || same(&build, &found, &old) ||
                                     (kept_status == TT_OK && same(&build, &found, &kept))
                               : kept_status != TT_OK);
        counts.cuts += 1u;
    }
}

/* ---- whole, but not finite ---- */

/* A number of a slot that is not finite, with a checksum that fits. */
static void poison(uint8_t *slot) {
    const float values[] = {(float)NAN, (float)INFINITY, -(float)INFINITY};
    tt_state_header_t header;
    uint32_t crc;
    uint32_t first;
    uint32_t floats;
    memcpy(&header, slot, sizeof header);
    floats = header.classes * header.elements;
    first = header.bytes - 4u - 4u * header.classes;
    for (crc = 0u; crc < header.layers; ++crc) {
        uint16_t chosen;
        memcpy(&chosen, slot + sizeof header + 8u * crc + 2u, sizeof chosen);
        floats += chosen * build.strides[crc];
    }
    EXPECT(floats > 0u);
    memcpy(slot + first - 4u * (1u + draw(floats)), &values[draw(3u)], sizeof values[0]);
    crc = tt_crc32(0u, slot, header.bytes - 4u);
    memcpy(slot + header.bytes - 4u, &crc, sizeof crc);
}

static void load_poison(void) {
    const uint32_t slot = before.bytes / 2u / before.block * before.block;
    const uint32_t newest = history == 2u ? slot : 0u;
    medium = before;
    poison(medium.memory + newest);
    if (history == 1u || history == FOREIGN_LAST) {
        EXPECT(load(&build, &found, &medium) == TT_ERROR_NOT_FINITE);
    } else {
        EXPECT(loads(&older));
        EXPECT(save(&build, &new, &medium) == TT_OK && loads(&new));
        memset(medium.memory + newest, 0, slot); /* the finite one is still there */
        EXPECT(loads(&older));
        medium = before;
        poison(medium.memory + newest);
    }
    EXPECT(save(&build, &new, &medium) == TT_OK && loads(&new));
    counts.poisoned += 1u;
}

static void try_history(bool fixed, bool prototypes, uint32_t saves) {
    uint32_t reads_of_load;
    uint32_t writes;
    uint32_t page;
    draw_history(fixed, prototypes, saves);
    medium = before;
    strike(&medium, NO_FAULT, 0u, 0u, 0u);
    EXPECT(loads_as_before());
    reads_of_load = medium.reads;
    at_every_read(load_badly);
    medium = before;
    strike(&medium, NO_FAULT, 0u, 0u, 0u);
    EXPECT(save(&build, &new, &medium) == TT_OK);
    writes = medium.writes;
    burst(reads_of_load, medium.reads);
    medium = before;
    strike(&medium, NO_FAULT, 0u, 0u, 0u);
    EXPECT(save(&build, &new, &medium) == TT_OK);
    at_every_read(save_badly);
    write_badly(writes);
    for (page = 0u; page < before.bytes / before.page; ++page) {
        break_page(page);
    }
    if (saves > 0u && (prototypes || old.rows[0].trained > 0u)) {
        load_poison();
    }
}

int main(int argument_count, char **arguments) {
    uint32_t round;
    uint32_t kind;
    uint32_t saves;
    EXPECT(argument_count == 3);
    seed((uint32_t)strtoul(arguments[1], NULL, 10));
    for (round = (uint32_t)strtoul(arguments[2], NULL, 10); round > 0u; --round) {
        for (kind = 0u; kind < 4u; ++kind) {
            for (saves = 0u; saves < HISTORIES; ++saves) {
                try_history(kind % 2u == 0u, kind >= 2u, saves);
            }
        }
    }
    printf("loads %u saves %u writes %u bursts %u saved %u unsaved %u broken %u restored %u cuts %u poisoned %u\n",
           counts.loads, counts.saves, counts.writes, counts.bursts, counts.saved, counts.unsaved, counts.broken,
           counts.restored, counts.cuts, counts.poisoned);
    return 0;
}
