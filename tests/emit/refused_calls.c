/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random walks of calls over the whole interface of a build, tt_model, with good and bad arguments. What must hold:
 *
 * - a call that is refused leaves session, row pool and state tensors as they were to the byte, but for what
 *   tt_session.h names;
 * - results do not depend on calls in between that leave the weights as they were: tt_walk_quiet without any of them and
 *   tt_walk_noisy full of them see the same numbers to the bit;
 * - what is not finite is told at the call and never saved, and what was saved is what is loaded;
 * - a learning rate of 0 trains nothing.
 *
 * Each function answers NULL, or what did not hold.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tt_adapt.h"
#include "tt_finite.h"
#include "tt_inspection.h"
#include "tt_model.h"
#include "tt_session.h"
#include "tt_storage_ram.h"

#if TT_MODEL_INTERPRETED
#include "tt_engine_tflm.h"
#include "tt_interpreter.h"
#endif

#if TT_MODEL_DYNAMIC
#define ROOM TT_MODEL_CANDIDATE_CHANNELS
#else
#define ROOM 1
#endif
#define ALIGNED __attribute__((aligned(16)))
#define SAMPLES 3u
#define WORKSPACE_BYTES                                                                                                \
    TT_ADAPT_WORKSPACE_BYTES(SAMPLES, TT_MODEL_INPUT_ELEMENTS, TT_MODEL_CLASSES, TT_MODEL_OUTPUT_ELEMENTS)
#define LOG_WORDS 100000u
#define TENSOR_BYTES 65536u
#define STORAGE_BYTES (2u * (TT_MODEL_STATE_BYTES + 64u))

static tt_session_t session;
static ALIGNED uint8_t arena[TT_MODEL_INTERPRETED ? 16 : TT_MODEL_ARENA_BYTES];
static ALIGNED uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES];
static ALIGNED uint8_t workspace[WORKSPACE_BYTES];
static ALIGNED float good[SAMPLES][TT_MODEL_INPUT_ELEMENTS];
static ALIGNED float bad[TT_MODEL_INPUT_ELEMENTS];
static ALIGNED float seed_gradient[TT_MODEL_OUTPUT_ELEMENTS];
static float output[TT_MODEL_OUTPUT_ELEMENTS + TT_MODEL_CLASSES];
static ALIGNED uint8_t storage_memory[STORAGE_BYTES];
static ALIGNED uint8_t other_memory[STORAGE_BYTES];
static tt_storage_ram_t ram;
static tt_storage_ram_t other_ram;
static tt_storage_t storage;
static tt_storage_t other_storage;
static tt_storage_t small_storage;
static tt_storage_ram_t small_ram;
static char failure[256];

/* All of it is one program on one session: the parts are in an order. */
#include "refused_kept.h"

#include "refused_arguments.h"

/* -------------------------------------------------------------- the walks */

static struct {
    uint32_t words[LOG_WORDS];
    uint32_t count;
} logs[2];

static void note(uint32_t log, const void *values, size_t words) {
    if (logs[log].count + words <= LOG_WORDS) {
        memcpy(&logs[log].words[logs[log].count], values, words * sizeof(uint32_t));
        logs[log].count += (uint32_t)words;
    } else {
        fail("log", "more results than there is room for");
    }
}

static void note_status(uint32_t log, tt_status_t status) {
    const uint32_t word = (uint32_t)status;
    note(log, &word, 1u);
}

static void note_scores(uint32_t log, const float *x) {
    const tt_status_t status = CALL(tt_predict(&session, x, output));
    note_status(log, status);
    if (status == TT_OK) {
        if (!tt_all_finite(output, TT_MODEL_CLASSES)) {
            fail("tt_predict", "scores are not finite");
        }
        note(log, output, TT_MODEL_CLASSES);
    }
}

static void start(uint8_t filling) {
    memset(row_pool, filling, sizeof row_pool);
    memset(storage_memory, 0xff, sizeof storage_memory);
    memset(other_memory, 0xff, sizeof other_memory);
    storage = tt_storage_ram(&ram, storage_memory, STORAGE_BYTES);
    other_storage = tt_storage_ram(&other_ram, other_memory, STORAGE_BYTES);
    small_storage = tt_storage_ram(&small_ram, other_memory, 64u);
    make_samples();
    if (tt_init(&session, &tt_model, arena, TT_MODEL_ARENA_BYTES, row_pool, sizeof row_pool) != TT_OK) {
        fail("tt_init", "refused");
    }
}

static void enroll_all(void) {
    for (uint32_t k = 0; k < SAMPLES && TT_MODEL_HAS_PROTOTYPES; ++k) {
        (void)CALL(tt_enroll(&session, good[k], task_labels[k]));
    }
}

typedef enum {
    PREDICT,
    TRAIN,
    ENROLL,
    UPDATE,
    RATE,
    SAVE,
    CHOOSE,
    SELECT,
    ADAPT,
    RESET,
    ACTIONS
} action_t;

/* What both walks do, and what comes of it. */
static void act(uint32_t log, dice_t *dice, action_t action) {
    const float rates[] = {0.0f, 1e-3f, 0.01f, 0.05f};
    const uint32_t k = draw(dice, SAMPLES);
    const float *x = good[k];
    float loss = 0.0f;
    float losses[2] = {0.0f, 0.0f};
    if (action == PREDICT) {
        note_scores(log, x);
    } else if (action == TRAIN) {
        note_status(log, CALL(tt_train_step(&session, x, task_labels[k], &loss)));
        note(log, &loss, 1u);
    } else if (action == ENROLL) {
        note_status(log, CALL(tt_enroll(&session, x, task_labels[k])));
    } else if (action == UPDATE) {
        note_status(log, CALL(tt_accumulate(&session, x, seed_gradient)));
        note_status(log, CALL(tt_update(&session)));
    } else if (action == RATE) {
        note_status(log, CALL(tt_set_learning_rate(&session, rates[draw(dice, 4u)])));
    } else if (action == SAVE) {
        note_status(log, CALL(tt_save(&session, &storage)));
        note_status(log, CALL(tt_load(&session, &storage)));
    } else if (action == CHOOSE) {
        draw_plan(dice, false);
        note_status(log, CALL(tt_choose(&session, counts, channels)));
    } else if (action == SELECT) {
        const tt_budget_t budget = {TT_BUDGET_NONE, TT_BUDGET_NONE, draw(dice, 40u) * 500u};
        (void)CALL(tt_fisher_clear(&session));
        for (uint32_t i = 0; i < SAMPLES; ++i) {
            note_status(log, CALL(tt_fisher_accumulate(&session, good[i], task_labels[i])));
        }
        note_status(log, CALL(tt_select(&session, &budget)));
    } else if (action == ADAPT) {
        const tt_adaptation_t task = task_of(dice);
        note_status(log, LONG_CALL(tt_adapt(&session, &task, workspace, sizeof workspace, losses)));
        note(log, losses, 2u);
    } else if (action == RESET) {
        note_status(log, CALL(tt_reset(&session)));
        enroll_all();
    }
}

/* A call that is refused, whatever the session has learned. */
static void refuse_one(dice_t *dice) {
    const float *nan_x = spoiled_sample(dice);
    const tt_budget_t nothing = {0u, 0u, 0u};
    tt_adaptation_t task = task_of(dice);
    const tt_support_t wrong_support = {sample_at, NULL, wrong_labels, SAMPLES};
    const tt_support_t no_support = {sample_at, NULL, task_labels, 0u};
    tt_inspector_t inspector;
    tt_adapter_t adapter;
    float losses[2];
    switch (draw(dice, 24u)) {
    case 0:
        REFUSED(tt_predict(&session, nan_x, output));
        break;
    case 1:
        REFUSED(tt_predict(&session, good[0], NULL));
        break;
    case 2:
        REFUSED(tt_train_step(&session, nan_x, 1u, output));
        break;
    case 3:
        REFUSED(tt_train_step(&session, good[0], TT_MODEL_CLASSES, output));
        break;
    case 4:
        REFUSED(tt_train_step(&session, NULL, 0u, output));
        break;
    case 5:
        REFUSED(tt_train_step_to(&session, good[0], good[1], output));
        break;
    case 6:
        REFUSED(tt_enroll(&session, nan_x, 0u));
        break;
    case 7:
        REFUSED(tt_enroll(&session, good[0], UINT32_MAX));
        break;
    case 8:
        REFUSED(tt_embedding(&session, nan_x, output));
        break;
    case 9:
        REFUSED(tt_accumulate(&session, good[0], NULL));
        break;
    case 10:
        output[0] = NAN;
        REFUSED(tt_accumulate(&session, good[0], output));
        break;
    case 11:
        REFUSED(tt_accumulate(&session, nan_x, seed_gradient));
        break;
    case 12:
        REFUSED(tt_set_learning_rate(&session, draw(dice, 2u) == 0u ? -1.0f : NAN));
        break;
    case 13:
        REFUSED(tt_fisher_accumulate(&session, nan_x, 0u));
        break;
    case 14:
        REFUSED(tt_fisher_accumulate(&session, good[0], TT_MODEL_CLASSES));
        break;
    case 15:
        REFUSED(tt_select(&session, &nothing));
        break;
    case 16:
        draw_plan(dice, true);
        REFUSED(tt_choose(&session, counts, channels));
        break;
    case 17:
        REFUSED(tt_load(&session, &other_storage));
        break;
    case 18:
        REFUSED(tt_save(&session, &small_storage));
        break;
    case 19:
        task.labels = wrong_labels;
        REFUSED(tt_adapt(&session, &task, workspace, sizeof workspace, losses));
        break;
    case 20:
        task.sample = draw(dice, 2u) == 0u ? no_sample : spoiled_at;
        task.context = dice;
        REFUSED(tt_adapt(&session, &task, workspace, sizeof workspace, losses));
        break;
    case 21:
        REFUSED(tt_adapt_begin(&adapter, &session, &task, workspace, 16u, losses));
        break;
    case 22:
        REFUSED(tt_inspect(&session, &wrong_support, NULL, workspace, sizeof workspace));
        break;
    default:
        REFUSED(tt_inspect_begin(&inspector, &session, &no_support, NULL, workspace, sizeof workspace));
        break;
    }
}

/* Whether gradients that are left count no more. */
static bool begins_anew(action_t action) {
    return action == RESET || (action == CHOOSE && TT_MODEL_DYNAMIC) || (action == ADAPT && TT_MODEL_ADAPTABLE);
}

/* A call that leaves the weights as they were. */
static void leave_weights(dice_t *dice, action_t next) {
    const float *x = good[draw(dice, SAMPLES)];
    const float rate = session.hyper[0];
    switch (draw(dice, 9u)) {
    case 0:
        (void)CALL(tt_predict(&session, x, output));
        break;
    case 1:
        (void)CALL(tt_embedding(&session, x, output));
        break;
    case 2:
        (void)CALL(tt_fisher_accumulate(&session, x, 1u));
        break;
    case 3:
        (void)CALL(tt_fisher_clear(&session));
        break;
    case 4:
        (void)CALL(tt_set_learning_rate(&session, 0.5f));
        (void)CALL(tt_set_learning_rate(&session, rate));
        break;
    case 5:
        (void)CALL(tt_save(&session, &other_storage));
        memset(other_memory, 0xff, sizeof other_memory);
        break;
    case 6:
        (void)CALL(tt_set_pulse(&session, NULL, NULL));
        break;
    case 7:
        (void)CALL(tt_predict(&session, bad_sample(dice, true), output));
        break;
    default:
        if (begins_anew(next)) {
            (void)CALL(tt_accumulate(&session, x, seed_gradient));
        }
        break;
    }
}

static const char *walk(uint32_t log, uint32_t seed, uint32_t steps, bool noisy) {
    dice_t script = {seed * 2654435761u + 1u};
    dice_t noise = {seed * 40503u + 7u};
    failure[0] = '\0';
    logs[log].count = 0u;
    start(noisy ? 0x5a : 0xff);
    for (uint32_t i = 0; i < steps && failure[0] == '\0'; ++i) {
        const action_t action = (action_t)draw(&script, ACTIONS);
        for (uint32_t k = noisy ? draw(&noise, 4u) : 0u; k > 0u; --k) {
            if (draw(&noise, 2u) == 0u) {
                refuse_one(&noise);
            } else {
                leave_weights(&noise, action);
            }
        }
        if (i == 0u) {
            enroll_all();
        }
        act(log, &script, action);
        note_scores(log, good[0]);
    }
    return failure[0] == '\0' ? NULL : failure;
}

const char *tt_walk_quiet(uint32_t seed, uint32_t steps);
const char *tt_walk_noisy(uint32_t seed, uint32_t steps);
const char *tt_walk_wild(uint32_t seed, uint32_t steps);
const char *tt_rate_of_0(void);

const char *tt_walk_quiet(uint32_t seed, uint32_t steps) {
    return walk(0u, seed, steps, false);
}

/* After tt_walk_quiet of the same arguments. */
const char *tt_walk_noisy(uint32_t seed, uint32_t steps) {
    const char *failed = walk(1u, seed, steps, true);
    if (failed == NULL && (logs[0].count != logs[1].count ||
                           memcmp(logs[0].words, logs[1].words, logs[0].count * sizeof(uint32_t)) != 0)) {
        uint32_t at = 0u;
        while (at < logs[0].count && logs[0].words[at] == logs[1].words[at]) {
            ++at;
        }
        (void)snprintf(failure, sizeof failure, "result %u depends on calls that left the weights as they were",
                       (unsigned)at);
        return failure;
    }
    return failed;
}

#include "refused_numbers.h"

#ifdef TT_WALK_MAIN
int main(void) {
    const char *failed = NULL;
    for (uint32_t seed = 1; seed <= TT_WALK_SEEDS && failed == NULL; ++seed) {
        failed = tt_walk_quiet(seed, TT_WALK_STEPS);
        failed = failed != NULL ? failed : tt_walk_noisy(seed, TT_WALK_STEPS);
        failed = failed != NULL ? failed : tt_walk_wild(seed, TT_WALK_STEPS);
    }
    failed = failed != NULL ? failed : tt_rate_of_0();
    if (failed != NULL) {
        puts(failed);
    }
    return failed != NULL;
}
#endif
