/* SPDX-License-Identifier: Apache-2.0 */
/* A storage in memory: for tests and simulation, and for RAM that a battery keeps. */
#ifndef TT_STORAGE_RAM_H
#define TT_STORAGE_RAM_H

#include <stdint.h>

#include "tt_storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by the caller, like the memory; both must stay valid while the storage is used. */
typedef struct {
    uint8_t *memory;
    uint32_t bytes;
} tt_storage_ram_t;

/* Pages and blocks of a storage in RAM. */
#define TT_STORAGE_RAM_PAGE_BYTES 8u

/*
 * A storage over memory, which keeps what it holds: erasing does nothing.
 *
 * ram:    out.
 * memory: in and out, [bytes].
 */
tt_storage_t tt_storage_ram(tt_storage_ram_t *ram, void *memory, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* TT_STORAGE_RAM_H */
