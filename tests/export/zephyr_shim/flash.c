/* SPDX-License-Identifier: Apache-2.0 */
#include <zephyr/drivers/flash.h>
#include <zephyr/storage/flash_map.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_BYTES 4096u
#define UNIT_BYTES 4u
#define AREA_BYTES 32768u
#define AREA_OFFSET 0x8000
#define ERASED 0xff

static const struct device flash = {"flash"};
static const struct flash_area storage = {3u, AREA_OFFSET, AREA_BYTES, &flash};

static void refuse(const char *what) {
    fprintf(stderr, "flash: %s\n", what);
    abort();
}

static FILE *open_at(off_t offset, size_t count) {
    FILE *file = fopen(getenv("TT_SHIM_FLASH"), "r+b");

    if (offset < 0 || (size_t)offset > AREA_BYTES || count > AREA_BYTES - (size_t)offset) {
        refuse("outside of the partition");
    }
    if (file == NULL || fseek(file, (long)offset, SEEK_SET) != 0) {
        refuse("TT_SHIM_FLASH names no file");
    }
    return file;
}

int flash_area_open(uint8_t id, const struct flash_area **area) {
    if (id != storage.fa_id) {
        return -ENOENT;
    }
    *area = &storage;
    return 0;
}

int flash_area_read(const struct flash_area *area, off_t offset, void *bytes, size_t count) {
    FILE *file = open_at(offset, count);

    (void)area;
    if (fread(bytes, 1, count, file) != count) {
        refuse("the file is too short");
    }
    fclose(file);
    return 0;
}

int flash_area_write(const struct flash_area *area, off_t offset, const void *bytes, size_t count) {
    FILE *file = open_at(offset, count);

    (void)area;
    if (offset % UNIT_BYTES != 0 || count % UNIT_BYTES != 0) {
        refuse("written in parts of a unit");
    }
    for (size_t i = 0; i < count; ++i) {
        if (fgetc(file) != ERASED) {
            refuse("written without having been erased");
        }
    }
    if (fseek(file, (long)offset, SEEK_SET) != 0 || fwrite(bytes, 1, count, file) != count) {
        refuse("the file cannot be written");
    }
    fclose(file);
    return 0;
}

int flash_area_erase(const struct flash_area *area, off_t offset, size_t count) {
    FILE *file = open_at(offset, count);

    (void)area;
    if (offset % PAGE_BYTES != 0 || count % PAGE_BYTES != 0) {
        refuse("erased in parts of a page");
    }
    for (size_t i = 0; i < count; ++i) {
        fputc(ERASED, file);
    }
    fclose(file);
    return 0;
}

uint32_t flash_area_align(const struct flash_area *area) {
    (void)area;
    return UNIT_BYTES;
}

const struct device *flash_area_get_device(const struct flash_area *area) {
    return area->fa_dev;
}

int flash_get_page_info_by_offs(const struct device *device, off_t offset, struct flash_pages_info *info) {
    (void)device;
    info->start_offset = offset - offset % PAGE_BYTES;
    info->size = PAGE_BYTES;
    info->index = (uint32_t)(offset / PAGE_BYTES);
    return 0;
}
