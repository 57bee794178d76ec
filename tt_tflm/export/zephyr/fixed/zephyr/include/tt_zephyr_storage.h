/* SPDX-License-Identifier: Apache-2.0 */
/* Where a personalisation is saved: what CONFIG_TINYTRAIN_STORAGE_... chose. */
#ifndef TT_ZEPHYR_STORAGE_H
#define TT_ZEPHYR_STORAGE_H

#include <errno.h>

#include "tt_storage.h"

/*
 * storage: out, usable from then on.
 * Returns 0; -ENODEV when the flash is not ready; -ENOTSUP when the units of the flash differ within the partition or
 * are larger than TT_STORAGE_MAX_PAGE_BYTES.
 */
#ifdef CONFIG_TINYTRAIN_STORAGE_NONE
static inline int tt_zephyr_storage_open(tt_storage_t *storage) {
    (void)storage;
    return -ENODEV;
}
#else
int tt_zephyr_storage_open(tt_storage_t *storage);
#endif

#endif /* TT_ZEPHYR_STORAGE_H */
