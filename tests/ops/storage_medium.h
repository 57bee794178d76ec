/* SPDX-License-Identifier: Apache-2.0 */
/* A medium that loses power after a given number of bytes, erased or written, and leaves what it was working on torn. */
#ifndef STORAGE_MEDIUM_H
#define STORAGE_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_storage.h"

#define EXPECT(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))
#define MAX_STORAGE_BYTES 16384u
#define FULL_BATTERY UINT32_MAX

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
} medium_t;

/* Ends the program. */
void fail(const char *condition, int line);

/* Random numbers of a seed other than 0. */
void seed(uint32_t value);
uint32_t draw(uint32_t below);

/* A medium for states of up to state_bytes, of random sizes, full of random bytes. medium: out. */
void draw_medium(medium_t *medium, uint32_t state_bytes);

tt_storage_t storage_of(medium_t *medium);

#endif /* STORAGE_MEDIUM_H */
