/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A medium that loses power after a given number of bytes, erased or written, and leaves what it was working on torn;
 * whose reads and writes fail or change a bit; and that has a page which cannot be read until it is written again.
 */
#ifndef STORAGE_MEDIUM_H
#define STORAGE_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_storage.h"

#define EXPECT(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))
#define MAX_STORAGE_BYTES 16384u
#define MAX_READS 512u
#define FULL_BATTERY UINT32_MAX
#define NO_PAGE UINT32_MAX

typedef enum {
    NO_FAULT,
    READ_ERROR,
    READ_FLIP,
    WRITE_ERROR,
    WRITE_FLIP,
    WRITE_LOST
} fault_kind_t;

/* What goes wrong without a loss of power. A flip and a lost write are not told: the function returns true. */
typedef struct {
    fault_kind_t kind;
    uint32_t first; /* number of the first read or write that it strikes, from 1 */
    uint32_t times; /* how many in a row */
    uint32_t bit;   /* of the first one */
} fault_t;

typedef struct {
    uint8_t memory[MAX_STORAGE_BYTES];
    bool erased[MAX_STORAGE_BYTES]; /* by page; flash alone */
    uint32_t bytes;
    uint32_t page;
    uint32_t block;
    bool flash;       /* else it is overwritten in place, and erasing does nothing */
    uint32_t battery; /* bytes that can still be erased or written */
    uint32_t used;
    uint32_t erases;
    fault_t fault;
    uint32_t reads;
    uint32_t writes;
    uint32_t read_bytes[MAX_READS];
    uint32_t broken; /* page that cannot be read until it is erased or written, or NO_PAGE */
} medium_t;

/* Ends the program. */
void fail(const char *condition, int line);

/* Random numbers of a seed other than 0. */
void seed(uint32_t value);
uint32_t draw(uint32_t below);

/* A medium for states of up to state_bytes, of random sizes, full of random bytes. medium: out. */
void draw_medium(medium_t *medium, uint32_t state_bytes);

/* From now on, with the counts of reads and writes at 0. */
void strike(medium_t *medium, fault_kind_t kind, uint32_t first, uint32_t times, uint32_t bit);

tt_storage_t storage_of(medium_t *medium);

#endif /* STORAGE_MEDIUM_H */
