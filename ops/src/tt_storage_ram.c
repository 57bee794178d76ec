/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_storage_ram.h"

#include <string.h>

static bool within(const tt_storage_ram_t *ram, uint32_t offset, uint32_t count) {
    return offset <= ram->bytes && count <= ram->bytes - offset;
}

static bool read_ram(void *context, uint32_t offset, void *bytes, uint32_t count) {
    const tt_storage_ram_t *ram = context;
    if (!within(ram, offset, count)) {
        return false;
    }
    memcpy(bytes, ram->memory + offset, count);
    return true;
}

static bool write_ram(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    const tt_storage_ram_t *ram = context;
    if (!within(ram, offset, count)) {
        return false;
    }
    memcpy(ram->memory + offset, bytes, count);
    return true;
}

static bool erase_ram(void *context, uint32_t offset, uint32_t count) {
    const tt_storage_ram_t *ram = context;
    return within(ram, offset, count);
}

static uint32_t size_of_ram(void *context) {
    const tt_storage_ram_t *ram = context;
    return ram->bytes;
}

tt_storage_t tt_storage_ram(tt_storage_ram_t *ram, void *memory, uint32_t bytes) {
    tt_storage_t storage = {
        read_ram, write_ram, erase_ram, size_of_ram, NULL, TT_STORAGE_RAM_PAGE_BYTES, TT_STORAGE_RAM_PAGE_BYTES};
    ram->memory = memory;
    ram->bytes = bytes;
    storage.context = ram;
    return storage;
}
