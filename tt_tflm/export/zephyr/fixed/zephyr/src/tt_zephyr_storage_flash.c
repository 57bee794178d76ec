/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr_storage.h"

#include <errno.h>
#include <stdint.h>

#include "tt_zephyr_compat.h"

/* Fewer calls of the driver than with the smallest unit that many flashes can write. */
#define LEAST_PAGE_BYTES 32u

static bool read_flash(void *context, uint32_t offset, void *bytes, uint32_t count) {
    const struct flash_area *area = context;

    return flash_area_read(area, (off_t)offset, bytes, count) == 0;
}

static bool write_flash(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    const struct flash_area *area = context;

    return flash_area_write(area, (off_t)offset, bytes, count) == 0;
}

static bool erase_flash(void *context, uint32_t offset, uint32_t count) {
    const struct flash_area *area = context;

    return flash_area_erase(area, (off_t)offset, count) == 0;
}

static uint32_t size_of_flash(void *context) {
    const struct flash_area *area = context;

    return (uint32_t)area->fa_size;
}

int tt_zephyr_storage_open(tt_storage_t *storage) {
    const struct flash_area *area;
    struct flash_pages_info first;
    struct flash_pages_info last;

    if (flash_area_open(TT_ZEPHYR_PARTITION_ID, &area) != 0) {
        return -ENODEV;
    }
    const struct device *flash = flash_area_get_device(area);
    const off_t end = area->fa_off + (off_t)area->fa_size;

    if (flash == NULL || !device_is_ready(flash) || flash_get_page_info_by_offs(flash, area->fa_off, &first) != 0 ||
        flash_get_page_info_by_offs(flash, end - 1, &last) != 0) {
        return -ENODEV;
    }
    const uint32_t unit = (uint32_t)flash_area_align(area);

    if (unit == 0u || unit > TT_STORAGE_MAX_PAGE_BYTES || first.size != last.size) {
        return -ENOTSUP;
    }
    uint32_t page = unit;

    while (page < LEAST_PAGE_BYTES && first.size % (2u * page) == 0u) {
        page *= 2u;
    }
    *storage = (tt_storage_t){
        .read = read_flash,
        .write = write_flash,
        .erase = erase_flash,
        .size = size_of_flash,
        .context = (void *)area,
        .page_bytes = page,
        .block_bytes = (uint32_t)first.size,
    };
    return 0;
}
