/* SPDX-License-Identifier: Apache-2.0 */
#include "storage_medium.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t generator = 1u;

void fail(const char *condition, int line) {
    fprintf(stderr, "line %d: expected %s\n", line, condition);
    exit(1);
}

void seed(uint32_t value) {
    generator = value;
}

uint32_t draw(uint32_t below) {
    generator ^= generator << 13;
    generator ^= generator >> 17;
    generator ^= generator << 5;
    return generator % below;
}

static bool powered(const medium_t *medium) {
    return medium->battery > 0u;
}

/* How many of count bytes the battery lasts for. */
static uint32_t drain(medium_t *medium, uint32_t count) {
    const uint32_t lasting = count < medium->battery ? count : medium->battery;
    medium->used += lasting;
    if (medium->battery != FULL_BATTERY) {
        medium->battery -= lasting;
    }
    return lasting;
}

/* What a cut leaves of bytes that were being changed: the old ones, random ones, or some bits turned. */
static void tear(uint8_t *bytes, uint32_t count) {
    const uint32_t manner = draw(3u);
    uint32_t i;
    for (i = 0; i < count && manner != 0u; ++i) {
        bytes[i] = (uint8_t)(manner == 1u ? draw(256u) : bytes[i] & draw(256u));
    }
}

/* Whether the fault strikes access number index. */
static bool struck(const medium_t *medium, fault_kind_t kind, uint32_t index) {
    return medium->fault.kind == kind && index >= medium->fault.first &&
           index - medium->fault.first < medium->fault.times;
}

/* Another bit every time: one that is always wrong is damage, not a fault of reading. */
static void flip(const medium_t *medium, uint32_t index, uint8_t *bytes, uint32_t count) {
    const uint32_t bit = (medium->fault.bit + 37u * (index - medium->fault.first)) % (8u * count);
    bytes[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
}

static bool readable(const medium_t *medium, uint32_t offset, uint32_t count) {
    return medium->broken == NO_PAGE || medium->broken < offset / medium->page ||
           medium->broken > (offset + count - 1u) / medium->page;
}

static bool medium_read(void *context, uint32_t offset, void *bytes, uint32_t count) {
    medium_t *medium = context;
    EXPECT(count >= 1u && offset <= medium->bytes && count <= medium->bytes - offset);
    if (medium->reads < MAX_READS) {
        medium->read_bytes[medium->reads] = count;
    }
    medium->reads += 1u;
    if (!powered(medium) || !readable(medium, offset, count) || struck(medium, READ_ERROR, medium->reads)) {
        return false;
    }
    memcpy(bytes, medium->memory + offset, count);
    if (struck(medium, READ_FLIP, medium->reads)) {
        flip(medium, medium->reads, bytes, count);
    }
    return true;
}

static bool medium_write(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    medium_t *medium = context;
    uint32_t lasting;
    EXPECT(count == medium->page && offset % count == 0u && offset <= medium->bytes - count);
    EXPECT(((uintptr_t)bytes & 7u) == 0u);
    if (!powered(medium)) {
        return false;
    }
    EXPECT(!medium->flash || medium->erased[offset / count]);
    medium->erased[offset / count] = false;
    medium->writes += 1u;
    if (struck(medium, WRITE_ERROR, medium->writes) || struck(medium, WRITE_LOST, medium->writes)) {
        return medium->fault.kind == WRITE_LOST;
    }
    if (medium->broken == offset / count) {
        medium->broken = NO_PAGE;
    }
    lasting = drain(medium, count);
    memcpy(medium->memory + offset, bytes, lasting);
    if (struck(medium, WRITE_FLIP, medium->writes)) {
        flip(medium, medium->writes, medium->memory + offset, count);
    }
    tear(medium->memory + offset + lasting, count - lasting);
    return powered(medium);
}

static bool medium_erase(void *context, uint32_t offset, uint32_t count) {
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
    if (medium->broken != NO_PAGE && medium->broken / (count / medium->page) == offset / count) {
        medium->broken = NO_PAGE;
    }
    lasting = drain(medium, count);
    memset(medium->memory + offset, 0xff, lasting);
    tear(medium->memory + offset + lasting, count - lasting);
    for (i = 0; i < count / medium->page && lasting == count; ++i) {
        medium->erased[offset / medium->page + i] = true;
    }
    return powered(medium);
}

static uint32_t medium_size(void *context) {
    const medium_t *medium = context;
    return medium->bytes;
}

void strike(medium_t *medium, fault_kind_t kind, uint32_t first, uint32_t times, uint32_t bit) {
    const fault_t fault = {kind, first, times, bit};
    medium->fault = fault;
    medium->reads = 0u;
    medium->writes = 0u;
}

tt_storage_t storage_of(medium_t *medium) {
    const tt_storage_t storage = {medium_read, medium_write, medium_erase, medium_size,
                                  medium,      medium->page, medium->block};
    return storage;
}

void draw_medium(medium_t *medium, uint32_t state_bytes) {
    static const uint32_t SIZES[][2] = {{1u, 1u},   {4u, 4u},     {8u, 64u}, {16u, 128u},
                                        {32u, 32u}, {256u, 256u}, {24u, 72u}};
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
    medium->broken = NO_PAGE;
    strike(medium, NO_FAULT, 0u, 0u, 0u);
    memset(medium->erased, 0, sizeof medium->erased);
    for (i = 0; i < medium->bytes; ++i) {
        medium->memory[i] = (uint8_t)draw(256u);
    }
}
