/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_SEMIHOST_H
#define TT_SIM_SEMIHOST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The few semihosting operations the simulation needs, made directly: newlib's stdio would bring malloc
 * and buffers into a program whose instructions are counted.
 */
typedef enum {
    TT_SIM_OPEN_READ = 1,
    TT_SIM_OPEN_WRITE = 5
} tt_sim_open_mode_t;

/* name: NUL-terminated, relative to the emulator's working directory. Returns a handle, negative on failure. */
int32_t tt_sim_open(const char *name, tt_sim_open_mode_t mode);

/* Returns false on failure. */
bool tt_sim_close(int32_t handle);

/* Blocks until all bytes are there. Returns false at the end of the file or on failure. */
bool tt_sim_read(int32_t handle, void *bytes, uint32_t count);

/* Blocks until all bytes are taken. Returns false on failure. */
bool tt_sim_write(int32_t handle, const void *bytes, uint32_t count);

/* text: NUL-terminated; goes to the emulator's standard error. */
void tt_sim_print(const char *text);

/* Ends the emulator with this exit status; does not return. */
void tt_sim_exit(uint32_t status);

#endif /* TT_SIM_SEMIHOST_H */
