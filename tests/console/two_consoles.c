/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two consoles of two models in one program, tt_model and other: lines of standard input that begin with 'a' or 'b' go to
 * one of them without that letter; slices of both come in turn. What they say comes with the letter before each line.
 */
#include <stdio.h>
#include <string.h>

#include "other.h"
#include "tt_console.h"
#include "tt_model.h"

#define SAMPLES 25
#define ITERATIONS 256
#define ALIGNED __attribute__((aligned(16)))

/* What a console works with, of a model by the macros of its header. */
#define BOARD(name, MACRO)                                                                                             \
    static uint8_t name##_arena[MACRO##_ARENA_BYTES] ALIGNED;                                                          \
    static uint8_t name##_row_pool[MACRO##_ROW_POOL_BYTES] ALIGNED;                                                    \
    static uint8_t name##_samples[(SAMPLES + 1) * TT_CONSOLE_UINT8_BYTES(MACRO##_INPUT_ELEMENTS)] ALIGNED;             \
    static uint8_t name##_workspace[TT_CONSOLE_WORKSPACE_BYTES(SAMPLES, MACRO##_INPUT_ELEMENTS, MACRO##_CLASSES,       \
                                                               MACRO##_OUTPUT_ELEMENTS, MACRO##_HAS_PROTOTYPES,        \
                                                               MACRO##_ADAPTABLE)] ALIGNED;                            \
    static float name##_input[MACRO##_INPUT_ELEMENTS] ALIGNED;                                                         \
    static float name##_scores[MACRO##_CLASSES]

BOARD(a, TT_MODEL);
BOARD(b, OTHER);

typedef struct {
    char letter;
    bool begun; /* a line */
    tt_session_t session;
    tt_console_t console;
    char line[TT_CONSOLE_LINE_BYTES];
    uint32_t labels[SAMPLES];
    float losses[ITERATIONS];
} board_t;

static board_t boards[2] = {{.letter = 'a'}, {.letter = 'b'}};

static void hear(void *context, const char *text, size_t count) {
    board_t *board = context;
    for (size_t i = 0; i < count; ++i) {
        if (!board->begun) {
            putchar(board->letter);
        }
        putchar(text[i]);
        board->begun = text[i] != '\n';
    }
}

static tt_status_t start(board_t *board, tt_console_config_t *config) {
    config->session = &board->session;
    config->line = board->line;
    config->line_bytes = sizeof board->line;
    config->labels = board->labels;
    config->capacity = SAMPLES;
    config->losses = board->losses;
    config->iterations = ITERATIONS;
    config->write = hear;
    config->write_context = board;
    return tt_console_init(&board->console, config);
}

static bool start_both(void) {
    tt_console_config_t of_a = {.input = a_input,
                                .scores = a_scores,
                                .samples = a_samples,
                                .samples_bytes = sizeof a_samples,
                                .workspace = a_workspace,
                                .workspace_bytes = sizeof a_workspace};
    tt_console_config_t of_b = {.input = b_input,
                                .scores = b_scores,
                                .samples = b_samples,
                                .samples_bytes = sizeof b_samples,
                                .workspace = b_workspace,
                                .workspace_bytes = sizeof b_workspace};
    return tt_init(&boards[0].session, &tt_model, a_arena, sizeof a_arena, a_row_pool, sizeof a_row_pool) == TT_OK &&
           tt_init(&boards[1].session, &other, b_arena, sizeof b_arena, b_row_pool, sizeof b_row_pool) == TT_OK &&
           start(&boards[0], &of_a) == TT_OK && start(&boards[1], &of_b) == TT_OK;
}

static bool one_slice_each(void) {
    const bool more = tt_console_poll(&boards[0].console);
    return tt_console_poll(&boards[1].console) || more;
}

int main(void) {
    char line[TT_CONSOLE_LINE_BYTES + 2u];
    if (!start_both()) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        board_t *board = &boards[line[0] == 'b'];
        tt_console_feed(&board->console, line + 1, strlen(line + 1));
        (void)one_slice_each();
    }
    while (one_slice_each()) {
    }
    return 0;
}
