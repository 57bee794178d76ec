/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr_storage.h"

#include <stdint.h>

#include "tt_storage_ram.h"
#include "tt_zephyr_compat.h"

/* By its address: a variable there would be cleared by whatever loads the image. */
#define RETAINED DT_CHOSEN(tinytrain_retained_ram)

int tt_zephyr_storage_open(tt_storage_t *storage) {
    static tt_storage_ram_t ram;

    *storage = tt_storage_ram(&ram, (void *)(uintptr_t)DT_REG_ADDR(RETAINED), (uint32_t)DT_REG_SIZE(RETAINED));
    return 0;
}
