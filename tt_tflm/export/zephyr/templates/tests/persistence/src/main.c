/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned and saved is what a new session loads: the same scores to the last bit. */
#include <stdint.h>
#include <string.h>

#include "tt_model.h"
#include "tt_zephyr.h"
#include "tt_zephyr_storage.h"

#define CLASSES 2u
#define STACK_BYTES 8192

static tt_session_t session;
static uint8_t arena[TT_MODEL_ARENA_BYTES] __aligned(16);
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __aligned(16);
static float x[TT_MODEL_INPUT_ELEMENTS] __aligned(8);

/* A pattern that differs from class to class. */
static void draw(uint32_t label) {
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        x[i] = (float)((i * (label + 3u)) % 11u) / 5.0f - 1.0f;
    }
}

static tt_status_t start(void) {
    memset(row_pool, 0, sizeof(row_pool));
    return tt_init(&session, &tt_model, arena, sizeof(arena), row_pool, sizeof(row_pool));
}

static tt_status_t learn(void) {
    tt_status_t status = TT_OK;

#if TT_MODEL_HAS_PROTOTYPES
    for (uint32_t label = 0; label < CLASSES && status == TT_OK; ++label) {
        draw(label);
        status = tt_enroll(&session, x, label);
    }
#endif
#if TT_MODEL_DYNAMIC
    const tt_budget_t budget = {TT_BUDGET_NONE, TT_MODEL_RAM_BYTES, TT_BUDGET_NONE};

    for (uint32_t label = 0; label < CLASSES && status == TT_OK; ++label) {
        draw(label);
        status = tt_fisher_accumulate(&session, x, label);
    }
    if (status == TT_OK) {
        status = tt_select(&session, &budget);
    }
#endif
    for (uint32_t step = 0; step < 2u * TT_MODEL_BATCH_SIZE && status == TT_OK; ++step) {
        draw(step % CLASSES);
        status = tt_train_step(&session, x, step % CLASSES, NULL);
    }
    return status;
}

static void run(void *unused_1, void *unused_2, void *unused_3) {
    static float before[TT_MODEL_CLASSES];
    static float after[TT_MODEL_CLASSES];
    tt_storage_t storage;
    tt_status_t status;
    int opened;

    tt_zephyr_begin_thread();
    ARG_UNUSED(unused_1);
    ARG_UNUSED(unused_2);
    ARG_UNUSED(unused_3);
    opened = tt_zephyr_storage_open(&storage);
    if (opened != 0) {
        printk("FAIL: no storage (%d)\n", opened);
        return;
    }
    status = start();
    if (status == TT_OK) {
        status = learn();
    }
    draw(0);
    if (status == TT_OK) {
        status = tt_predict(&session, x, before);
    }
    if (status == TT_OK) {
        status = tt_save(&session, &storage);
    }
    if (status == TT_OK) {
        status = start();
    }
    if (status == TT_OK) {
        status = tt_load(&session, &storage);
    }
    if (status == TT_OK) {
        status = tt_predict(&session, x, after);
    }
    if (status != TT_OK) {
        printk("FAIL: %s\n", tt_status_text(status));
    } else if (memcmp(before, after, sizeof(before)) != 0) {
        printk("FAIL: other scores\n");
    } else {
        printk("PASS: what was learned came back\n");
    }
}

K_THREAD_DEFINE(tinytrain, STACK_BYTES, run, NULL, NULL, NULL, 7, TT_ZEPHYR_THREAD_OPTIONS, 0);
