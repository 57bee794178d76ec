/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place that outlives a cut of power has to offer, so that tt_save can write to it and tt_load read from it:
 * four functions and two sizes. Flash, EEPROM, a file, battery-backed RAM: whoever has one fills in a tt_storage_t.
 *
 * The storage is a run of bytes, numbered from 0. It holds two slots of equal size, each of which has to hold
 * tt_state_bytes(session), rounded up to whole blocks. One slot is written while the other keeps the state before.
 */
#ifndef TT_STORAGE_H
#define TT_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest page: tt_save keeps one page on the stack. */
#define TT_STORAGE_MAX_PAGE_BYTES 256u

/*
 * The functions return false when the medium fails; whatever called them then tries a read again, returns
 * TT_ERROR_STORAGE, or does without that slot. A wrong bit that the medium does not notice is noticed by the caller.
 * They are called one at a time, never from an interrupt of the runtime's own, and may block.
 */
typedef struct tt_storage {
    /*
     * Copy bytes out. offset and count are arbitrary, count at least 1, offset + count <= size().
     * bytes: out, [count], no alignment promised.
     */
    bool (*read)(void *context, uint32_t offset, void *bytes, uint32_t count);

    /*
     * Write one page: count is page_bytes and offset a multiple of it. Its block has been erased since the page was
     * written last. bytes: in, [count], 8-byte aligned, in RAM. What a cut of power leaves in the page may be anything.
     */
    bool (*write)(void *context, uint32_t offset, const void *bytes, uint32_t count);

    /*
     * Make one block ready to be written: count is block_bytes and offset a multiple of it. What the block holds
     * afterwards, or after a cut of power on the way, may be anything: a medium that can be overwritten, such as
     * EEPROM, does nothing here and returns true.
     */
    bool (*erase)(void *context, uint32_t offset, uint32_t count);

    /* Bytes of the storage, the same at every call; 0 when the medium is not there. */
    uint32_t (*size)(void *context);

    void *context;        /* handed to the functions; the runtime does not look at it */
    uint32_t page_bytes;  /* unit of writing, 1 .. TT_STORAGE_MAX_PAGE_BYTES */
    uint32_t block_bytes; /* unit of erasing, a multiple of page_bytes */
} tt_storage_t;

#ifdef __cplusplus
}
#endif

#endif /* TT_STORAGE_H */
