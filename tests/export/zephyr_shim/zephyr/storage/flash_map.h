/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition, in the file that TT_SHIM_FLASH names. As on a real flash, a unit that was written has to be erased
 * before it is written again; what breaks the rules ends the process.
 */
#ifndef ZEPHYR_STORAGE_FLASH_MAP_H
#define ZEPHYR_STORAGE_FLASH_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <zephyr/device.h>

struct flash_area {
    uint8_t fa_id;
    off_t fa_off;
    size_t fa_size;
    const struct device *fa_dev;
};

#define FIXED_PARTITION_ID(label) FIXED_PARTITION_ID_OF(label)
#define FIXED_PARTITION_ID_OF(label) FIXED_PARTITION_ID_##label
#define FIXED_PARTITION_ID_storage_partition 3

int flash_area_open(uint8_t id, const struct flash_area **area);
int flash_area_read(const struct flash_area *area, off_t offset, void *bytes, size_t count);
int flash_area_write(const struct flash_area *area, off_t offset, const void *bytes, size_t count);
int flash_area_erase(const struct flash_area *area, off_t offset, size_t count);
uint32_t flash_area_align(const struct flash_area *area);
const struct device *flash_area_get_device(const struct flash_area *area);

#endif /* ZEPHYR_STORAGE_FLASH_MAP_H */
