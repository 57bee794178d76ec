/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr.h"

#include <stdint.h>
#include <string.h>

#include "tt_console.h"
#include "tt_console_text.h"
#include "tt_model.h"
#include "tt_zephyr_storage.h"
#include "tt_zephyr_uart.h"

#ifdef CONFIG_TINYTRAIN_ARENA_PLACED
#define IN_ARENA_SECTION __attribute__((section(CONFIG_TINYTRAIN_ARENA_SECTION)))
#else
#define IN_ARENA_SECTION
#endif

#ifdef CONFIG_TINYTRAIN_ROW_POOL_PLACED
#define IN_ROW_POOL_SECTION __attribute__((section(CONFIG_TINYTRAIN_ROW_POOL_SECTION)))
#else
#define IN_ROW_POOL_SECTION
#endif

#ifdef CONFIG_TINYTRAIN_SUPPORT_PLACED
#define IN_SUPPORT_SECTION __attribute__((section(CONFIG_TINYTRAIN_SUPPORT_SECTION)))
#else
#define IN_SUPPORT_SECTION
#endif

#define SAMPLES CONFIG_TINYTRAIN_CONSOLE_SAMPLES
#define ITERATIONS CONFIG_TINYTRAIN_CONSOLE_ITERATIONS

#ifdef CONFIG_TINYTRAIN_CONSOLE_FLOAT32
#define FORMAT TT_CONSOLE_FLOAT32
#define SAMPLE_BYTES TT_CONSOLE_FLOAT32_BYTES(TT_MODEL_INPUT_ELEMENTS)
#else
#define FORMAT TT_CONSOLE_UINT8
#define SAMPLE_BYTES TT_CONSOLE_UINT8_BYTES(TT_MODEL_INPUT_ELEMENTS)
#endif

#define WORKSPACE_BYTES                                                                                                \
    TT_CONSOLE_WORKSPACE_BYTES(SAMPLES, TT_MODEL_INPUT_ELEMENTS, TT_MODEL_CLASSES, TT_MODEL_OUTPUT_ELEMENTS,           \
                               TT_MODEL_HAS_PROTOTYPES, TT_MODEL_ADAPTABLE)
/* While one iteration takes minutes, whoever waits is told that it goes on. */
#define TELL_MS 5000

K_MUTEX_DEFINE(tt_zephyr_mutex);

static bool prepared;
static uint8_t workspace[WORKSPACE_BYTES] __aligned(16) IN_SUPPORT_SECTION;
static tt_session_t session;
static uint8_t arena[TT_MODEL_ARENA_BYTES] __aligned(16) IN_ARENA_SECTION;
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __aligned(16) IN_ROW_POOL_SECTION;
static uint8_t samples[(SAMPLES + 1u) * SAMPLE_BYTES] __aligned(16) IN_SUPPORT_SECTION;
static uint32_t labels[SAMPLES];
static float scores[TT_MODEL_CLASSES];
static float losses[ITERATIONS];
static char line[TT_CONSOLE_LINE_BYTES];
static tt_storage_t storage;
static tt_console_t console;

#ifndef CONFIG_TINYTRAIN_CONSOLE_FLOAT32
static float input[TT_MODEL_INPUT_ELEMENTS] __aligned(8);
#endif

static void send(void *context, const char *text, size_t count) {
    ARG_UNUSED(context);
    tt_zephyr_uart_write(text, count);
}

static void say(const char *text) {
    tt_zephyr_uart_write(text, strlen(text));
}

/* What TFLM takes of its arena is known here alone. */
static void say_arena(void) {
#if TT_MODEL_INTERPRETED
    char number[TT_CONSOLE_NUMBER_CHARACTERS];

    say("tt-tflm: arena ");
    (void)tt_console_put_decimal(number, (uint32_t)tt_arena_used(&session));
    say(number);
    say(" of ");
    (void)tt_console_put_decimal(number, TT_MODEL_ARENA_BYTES);
    say(number);
    say(" B\r\n");
#endif
}

/* What was saved; without it, the base model. */
static const char *load(const tt_storage_t *from) {
    const tt_status_t status = from != NULL ? tt_load(&session, from) : TT_ERROR_NO_STATE;

    return status == TT_OK ? "what was saved is loaded" : tt_status_text(status);
}

tt_session_t *tt_zephyr_lock(k_timeout_t timeout) {
    if (k_mutex_lock(&tt_zephyr_mutex, timeout) != 0) {
        return NULL;
    }
    if (!prepared) {
        tt_zephyr_unlock();
        return NULL;
    }
    return &session;
}

void tt_zephyr_unlock(void) {
    (void)k_mutex_unlock(&tt_zephyr_mutex);
}

bool tt_zephyr_learns(void) {
    uint32_t done;
    uint32_t total;

    return prepared && strcmp(tt_console_progress(&console, &done, &total), "idle") != 0;
}

tt_status_t tt_zephyr_predict(const float *x, float *out, k_timeout_t timeout) {
    tt_session_t *mine = tt_zephyr_lock(timeout);

    if (mine == NULL) {
        return TT_ERROR_NOT_INITIALISED;
    }
    const tt_status_t status = tt_predict(mine, x, out);

    tt_zephyr_unlock();
    return status;
}

#ifdef CONFIG_TINYTRAIN_PULSES
__weak void tt_zephyr_pulse(void) {
    k_yield();
}

static void pulse(void *context) {
    ARG_UNUSED(context);
    tt_zephyr_pulse();
}
#endif

/* Bytes before slices: the board answers at once. */
static void serve(void) {
    int64_t told = k_uptime_get();
    bool learns = false;

    for (;;) {
        uint8_t byte;
        const bool got = tt_zephyr_uart_read(&byte, !learns);

        (void)k_mutex_lock(&tt_zephyr_mutex, K_FOREVER);
        if (got) {
            tt_console_feed(&console, &byte, 1);
            learns = true; /* or so the next round will find */
        } else {
            learns = tt_console_poll(&console);
        }
        if (k_uptime_get() - told >= TELL_MS) {
            told = k_uptime_get();
            tt_console_tell(&console);
        }
        tt_zephyr_unlock();
        k_yield();
    }
}

void tt_zephyr_console(void *unused_1, void *unused_2, void *unused_3) {
    ARG_UNUSED(unused_1);
    ARG_UNUSED(unused_2);
    ARG_UNUSED(unused_3);
    tt_zephyr_begin_thread();
    if (tt_zephyr_uart_open() != 0) {
        printk("tt-tflm: the UART of the console is not ready\n");
        return;
    }
    const tt_console_config_t config = {
        .session = &session,
        .line = line,
        .line_bytes = sizeof(line),
#ifndef CONFIG_TINYTRAIN_CONSOLE_FLOAT32
        .input = input,
#endif
        .scores = scores,
        .format = FORMAT,
        .samples = samples,
        .samples_bytes = sizeof(samples),
        .labels = labels,
        .capacity = SAMPLES,
        .workspace = workspace,
        .workspace_bytes = sizeof(workspace),
        .losses = losses,
        .iterations = ITERATIONS,
        .storage = tt_zephyr_storage_open(&storage) == 0 ? &storage : NULL,
        .write = send,
    };
    (void)k_mutex_lock(&tt_zephyr_mutex, K_FOREVER);
    tt_status_t status = tt_init(&session, &tt_model, arena, sizeof(arena), row_pool, sizeof(row_pool));

    if (status == TT_OK) {
        status = tt_console_init(&console, &config);
    }
#ifdef CONFIG_TINYTRAIN_PULSES
    if (status == TT_OK) {
        status = tt_set_pulse(&session, pulse, NULL);
    }
#endif
    say("tt-tflm: ");
    say(status == TT_OK ? load(config.storage) : tt_status_text(status));
    say("\r\n");
    say_arena();
    prepared = status == TT_OK;
    tt_zephyr_unlock();
    if (status == TT_OK) {
        serve();
    }
}
