/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr.h"

#include <stdint.h>
#include <string.h>

#include "tt_console.h"
#include "tt_console_text.h"
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
#define SAMPLE_BYTES TT_CONSOLE_FLOAT32_BYTES
#else
#define FORMAT TT_CONSOLE_UINT8
#define SAMPLE_BYTES TT_CONSOLE_UINT8_BYTES
#endif

#if TT_MODEL_ADAPTABLE
static uint8_t workspace[TT_MODEL_ADAPT_WORKSPACE_BYTES(SAMPLES)] __aligned(16) IN_SUPPORT_SECTION;
#endif

static tt_session_t session;
static uint8_t arena[TT_MODEL_ARENA_BYTES] __aligned(16) IN_ARENA_SECTION;
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __aligned(16) IN_ROW_POOL_SECTION;
static uint8_t samples[(SAMPLES + 1u) * SAMPLE_BYTES] __aligned(16) IN_SUPPORT_SECTION;
static uint32_t labels[SAMPLES];
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
        .format = FORMAT,
        .samples = samples,
        .samples_bytes = sizeof(samples),
        .labels = labels,
        .capacity = SAMPLES,
#if TT_MODEL_ADAPTABLE
        .workspace = workspace,
        .workspace_bytes = sizeof(workspace),
#endif
        .losses = losses,
        .iterations = ITERATIONS,
        .storage = tt_zephyr_storage_open(&storage) == 0 ? &storage : NULL,
        .write = send,
    };
    tt_status_t status = tt_init(&session, &tt_model, arena, sizeof(arena), row_pool, sizeof(row_pool));

    if (status == TT_OK) {
        status = tt_console_init(&console, &config);
    }
    say("tt-tflm: ");
    say(status == TT_OK ? load(config.storage) : tt_status_text(status));
    say("\r\n");
    say_arena();
    while (status == TT_OK) {
        const uint8_t byte = tt_zephyr_uart_read();

        tt_console_feed(&console, &byte, 1);
    }
}
