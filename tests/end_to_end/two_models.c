/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two models in one program, each of them enrolled, inspected, trained, adapted, saved and loaded as far as its build can,
 * a call of one and a call of the other by turns. What a part answers are its numbers, and how many calls were refused.
 * Included by a source that says which parts there are:
 *
 *   #include "<name>.h"
 *   #define PARTS PART(<number>, <name>, <NAME>) ...
 */
#include <stdbool.h>
#include <string.h>

#include "tt_adapt.h"
#include "tt_inspection.h"
#include "tt_session.h"
#include "tt_storage_ram.h"

#define ALIGNED __attribute__((aligned(16)))
#define SAMPLES 3u
#define ROUNDS 32u
#define LOG_BYTES 8192u
#define INPUT_ROOM 256u
#define WORKSPACE_ROOM 4096u
#define STORAGE_ROOM 16384u

typedef struct {
    const tt_model_t *model;
    void *arena;
    size_t arena_bytes;
    void *row_pool;
    size_t row_pool_bytes;
    tt_session_t session;
    tt_adapter_t adapter;
    tt_adaptation_t task;
    ALIGNED float x[INPUT_ROOM];
    ALIGNED uint8_t workspace[WORKSPACE_ROOM];
    uint8_t storage[STORAGE_ROOM];
    float numbers[32];
    uint8_t log[LOG_BYTES];
    uint32_t logged;
    uint32_t refused;
    bool adapts;
} part_t;

#define PART(number, name, NAME)                                                                                       \
    static ALIGNED uint8_t arena_##number[NAME##_ARENA_BYTES];                                                         \
    static ALIGNED uint8_t row_pool_##number[NAME##_ROW_POOL_BYTES];                                                   \
    part_t part_##number = {.model = &name,                                                                            \
                            .arena = arena_##number,                                                                   \
                            .arena_bytes = sizeof arena_##number,                                                      \
                            .row_pool = row_pool_##number,                                                             \
                            .row_pool_bytes = sizeof row_pool_##number};
PARTS
#undef PART

#define PART(number, name, NAME) &part_##number,
static part_t *const parts[] = {PARTS};
#undef PART

static const uint32_t labels[SAMPLES] = {0u, 1u, 2u};

static void note(part_t *part, const void *bytes, size_t count) {
    if (part->logged + count <= LOG_BYTES) {
        memcpy(part->log + part->logged, bytes, count);
        part->logged += (uint32_t)count;
    }
}

static void note_status(part_t *part, tt_status_t status) {
    part->refused += status != TT_OK;
}

static const float *sample(void *context, uint32_t index) {
    part_t *part = context;
    uint32_t state = 2463534242u + index;
    for (uint32_t i = 0; i < part->model->input_elements && i < INPUT_ROOM; ++i) {
        state = state * 1664525u + 1013904223u;
        part->x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return part->x;
}

static void predict(part_t *part) {
    note_status(part, tt_predict(&part->session, sample(part, 1u), part->numbers));
    note(part, part->numbers, part->model->classes * sizeof(float));
}

static void prepare(part_t *part) {
    tt_session_t *session = &part->session;
    note_status(part,
                tt_init(session, part->model, part->arena, part->arena_bytes, part->row_pool, part->row_pool_bytes));
    for (uint32_t i = 0; i < SAMPLES && part->model->prototypes != NULL; ++i) {
        note_status(part, tt_enroll(session, sample(part, i), i));
    }
    if (part->model->choice != NULL) {
        const tt_support_t support = {sample, part, labels, SAMPLES};
        note_status(part, tt_inspect(session, &support, NULL, part->workspace, sizeof part->workspace));
    }
    part->adapts = part->model->prototypes != NULL;
    if (part->adapts) {
        part->task = (tt_adaptation_t){sample, part, labels, SAMPLES, 1u, 7u, 1u, 0u, TT_AUGMENT_DEFAULTS};
        note_status(part, tt_adapt_begin(&part->adapter, session, &part->task, part->workspace, sizeof part->workspace,
                                         part->numbers + 16));
    }
}

/* What of an adaptation there is to do, a pass at a time; then train steps, and what was learned saved and loaded. */
static void go_on(part_t *part, uint32_t round) {
    tt_session_t *session = &part->session;
    float loss = 0.0f;
    tt_storage_ram_t ram;
    if (part->adapts) {
        note_status(part, tt_adapt_step(&part->adapter));
        part->adapts = !tt_adapt_done(&part->adapter);
    } else if (round % 8u == 7u) {
        const tt_storage_t storage = tt_storage_ram(&ram, part->storage, STORAGE_ROOM);
        note_status(part, tt_save(session, &storage));
        note_status(part, tt_load(session, &storage));
    } else {
        note_status(part, tt_train_step(session, sample(part, round), labels[round % SAMPLES], &loss));
        note(part, &loss, sizeof loss);
    }
    predict(part);
}

void interleave(uint32_t first, uint32_t count);
const uint8_t *log_of(uint32_t index, uint32_t *bytes);

/* Parts first .. first + count - 1, by turns, from the beginning. */
void interleave(uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; ++i) {
        parts[i]->logged = 0u;
        parts[i]->refused = 0u;
        memset(parts[i]->storage, 0xff, STORAGE_ROOM);
        prepare(parts[i]);
    }
    for (uint32_t round = 0; round < ROUNDS; ++round) {
        for (uint32_t i = first; i < first + count; ++i) {
            go_on(parts[i], round);
        }
    }
    for (uint32_t i = first; i < first + count; ++i) {
        note(parts[i], &parts[i]->refused, sizeof parts[i]->refused);
    }
}

/* What a part has answered. bytes: out. */
const uint8_t *log_of(uint32_t index, uint32_t *bytes) {
    *bytes = parts[index]->logged;
    return parts[index]->log;
}

#ifdef TO_FILES
#include "tt_sim_semihost.h"

int main(void) {
    static char name[] = "log_0";
    interleave(0u, sizeof parts / sizeof parts[0]);
    for (uint32_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
        const int32_t file = tt_sim_open(name, TT_SIM_OPEN_WRITE);
        if (file < 0 || !tt_sim_write(file, parts[i]->log, parts[i]->logged) || !tt_sim_close(file)) {
            tt_sim_exit(1u);
        }
        name[4] += 1;
    }
    tt_sim_exit(0u);
    return 0;
}
#endif
