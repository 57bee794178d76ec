/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_console.h"

#include <string.h>

#include "tt_storage_ram.h"

#define ALIGNED __attribute__((aligned(16)))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SAMPLE_BYTES                                                                                                   \
    (TT_SIM_CONSOLE_FLOAT32 ? TT_CONSOLE_FLOAT32_BYTES(TT_MODEL_INPUT_ELEMENTS)                                        \
                            : TT_CONSOLE_UINT8_BYTES(TT_MODEL_INPUT_ELEMENTS))
#define WORKSPACE_BYTES                                                                                                \
    TT_CONSOLE_WORKSPACE_BYTES(TT_SIM_CONSOLE_CAPACITY, TT_MODEL_INPUT_ELEMENTS, TT_MODEL_CLASSES,                     \
                               TT_MODEL_OUTPUT_ELEMENTS, TT_MODEL_HAS_PROTOTYPES, TT_MODEL_ADAPTABLE)

static tt_session_t session ALIGNED;
static uint8_t arena[LARGER(TT_MODEL_ARENA_BYTES, 1)] ALIGNED;
static uint8_t row_pool[LARGER(TT_MODEL_ROW_POOL_BYTES, 1)] ALIGNED;
static float input[TT_MODEL_INPUT_ELEMENTS] ALIGNED;
static uint8_t samples[(TT_SIM_CONSOLE_CAPACITY + 1) * SAMPLE_BYTES] ALIGNED;
static uint32_t labels[TT_SIM_CONSOLE_CAPACITY];
static uint8_t workspace[WORKSPACE_BYTES] ALIGNED;
static float scores[TT_MODEL_CLASSES];
static float losses[TT_SIM_CONSOLE_ITERATIONS];
static char line[TT_CONSOLE_LINE_BYTES];
static uint8_t memory[TT_SIM_CONSOLE_STORAGE_BYTES] ALIGNED;
static tt_storage_ram_t ram;
static tt_storage_t in_ram;
static tt_storage_t kept_storage;
static tt_sim_keep_t keep_storage;
static tt_console_t console;

static bool write_and_keep(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    return in_ram.write(context, offset, bytes, count) && (keep_storage == NULL || keep_storage(memory));
}

tt_console_t *tt_sim_console_start(tt_console_write_t write, const uint8_t *storage, tt_sim_keep_t keep) {
    tt_console_config_t config;
    memset(&config, 0, sizeof config);
    memset(memory, 0, sizeof memory);
    if (storage != NULL) {
        memcpy(memory, storage, sizeof memory);
    }
    keep_storage = keep;
    in_ram = tt_storage_ram(&ram, memory, sizeof memory);
    kept_storage = in_ram;
    kept_storage.write = write_and_keep;
    config.session = &session;
    config.line = line;
    config.line_bytes = sizeof line;
    config.input = input;
    config.scores = scores;
    config.format = TT_SIM_CONSOLE_FLOAT32 ? TT_CONSOLE_FLOAT32 : TT_CONSOLE_UINT8;
    config.samples = samples;
    config.samples_bytes = sizeof samples;
    config.labels = labels;
    config.capacity = TT_SIM_CONSOLE_CAPACITY;
    config.workspace = workspace;
    config.workspace_bytes = sizeof workspace;
    config.losses = losses;
    config.iterations = TT_SIM_CONSOLE_ITERATIONS;
    config.storage = &kept_storage;
    config.write = write;
    if (tt_init(&session, &TT_SIM_MODEL, arena, sizeof arena, row_pool, sizeof row_pool) != TT_OK) {
        return NULL;
    }
    /* As firmware does it: what was saved last is taken up, and a board that has saved nothing begins anew. */
    (void)tt_load(&session, &kept_storage);
    return tt_console_init(&console, &config) == TT_OK ? &console : NULL;
}
