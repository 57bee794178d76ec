/* SPDX-License-Identifier: Apache-2.0 */
/* A board with a console, as tests and tt_tflm/boards/simulated/console.py run it: memory, and a storage that outlives it. */
#ifndef TT_SIM_CONSOLE_H
#define TT_SIM_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_console.h"
#include "tt_sim_model.h"

/* Samples that are kept, and whether as float32 (1) or as uint8 (0). */
#ifndef TT_SIM_CONSOLE_CAPACITY
#define TT_SIM_CONSOLE_CAPACITY 25
#endif
#ifndef TT_SIM_CONSOLE_FLOAT32
#define TT_SIM_CONSOLE_FLOAT32 0
#endif

/* The most iterations of an adapt. */
#define TT_SIM_CONSOLE_ITERATIONS 256

/* Two states, each in whole pages of 8 bytes. */
#define TT_SIM_CONSOLE_STORAGE_BYTES (2u * ((TT_MODEL_STATE_BYTES + 7u) / 8u * 8u))

/* Where the storage is kept: [TT_SIM_CONSOLE_STORAGE_BYTES] each. Called when it has changed. */
typedef bool (*tt_sim_keep_t)(const uint8_t *storage);

/*
 * Prepares session and console. storage: its content at the start, in; NULL for an empty one. keep: may be NULL.
 * Returns the console, NULL on failure.
 */
tt_console_t *tt_sim_console_start(tt_console_write_t write, const uint8_t *storage, tt_sim_keep_t keep);

#endif /* TT_SIM_CONSOLE_H */
