# SPDX-License-Identifier: Apache-2.0
"""C programs that use a build as firmware would, in memory of exactly the size asked for."""

# Each line of output: a name and numbers as hexadecimal floats. The argument is the byte that memory is filled with.
PROGRAM = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tt_model.h"

static int filling;
static void *arena;
static tt_session_t *session;

/* Nothing but the row pool and the session may carry anything from one call to the next. */
static void fill(void *memory, size_t bytes) { memset(memory, filling, bytes); }

static void *aligned(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 16, bytes) != 0) {
        exit(2);
    }
    fill(memory, bytes);
    return memory;
}

static void expect(tt_status_t status, const char *call)
{
    if (status != TT_OK) {
        printf("failed: %s: %s\n", call, tt_status_text(status));
        exit(1);
    }
}

#define CALL(call) (fill(arena, TT_MODEL_ARENA_BYTES), expect(call, #call))

static void show(const char *name, const float *values, uint32_t count)
{
    printf("%s", name);
    for (uint32_t i = 0; i < count; ++i) {
        printf(" %a", (double)values[i]);
    }
    printf("\n");
}

static void fill_input(float *x, uint32_t seed)
{
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

#if TT_MODEL_ADAPTABLE
static const float *sample(void *context, uint32_t index)
{
    fill_input(context, index);
    return context;
}
#endif

int main(int argc, char **argv)
{
    filling = argc > 1 ? atoi(argv[1]) : 0;
    float *x = aligned(TT_MODEL_INPUT_ELEMENTS * sizeof(float));
    float *scores = aligned(TT_MODEL_CLASSES * sizeof(float));
    float *first = aligned(TT_MODEL_CLASSES * sizeof(float));
    void *row_pool = aligned(TT_MODEL_ROW_POOL_BYTES);
    arena = aligned(TT_MODEL_ARENA_BYTES);
    session = aligned(sizeof *session);
    expect(tt_init(session, &tt_model, arena, TT_MODEL_ARENA_BYTES, row_pool, TT_MODEL_ROW_POOL_BYTES), "tt_init");
    float loss = 0.0f;
    uint32_t i;
    fill_input(x, 1);
#if TT_MODEL_HAS_PROTOTYPES
    float *embedding = aligned(TT_MODEL_EMBEDDING_ELEMENTS * sizeof(float));
    for (i = 0; i < TT_MODEL_CLASSES; ++i) {
        fill_input(x, i);
        CALL(tt_enroll(session, x, i));
    }
    CALL(tt_embedding(session, x, embedding));
    show("embedding", embedding, TT_MODEL_EMBEDDING_ELEMENTS);
    free(embedding);
#endif
#if TT_MODEL_DYNAMIC
    const tt_budget_t budget = {TT_BUDGET_NONE, TT_BUDGET_NONE, TT_BUDGET_NONE};
    for (i = 0; i < TT_MODEL_CLASSES; ++i) {
        fill_input(x, i);
        CALL(tt_fisher_accumulate(session, x, i));
    }
    CALL(tt_select(session, &budget));
#endif
    CALL(tt_predict(session, x, first));
    show("first", first, TT_MODEL_CLASSES);
    for (i = 0; i < 5; ++i) {
        fill_input(x, i);
        CALL(tt_train_step(session, x, i % TT_MODEL_CLASSES, &loss));
        show("loss", &loss, 1);
        CALL(tt_predict(session, x, scores));
        show("scores", scores, TT_MODEL_CLASSES);
    }
    CALL(tt_set_learning_rate(session, 0.125f));
    CALL(tt_train_step(session, x, 0, NULL));
    CALL(tt_predict(session, x, scores));
    show("scores", scores, TT_MODEL_CLASSES);
#if TT_MODEL_ADAPTABLE
    const uint32_t labels[TT_MODEL_CLASSES] = {0};
    float *losses = aligned(2 * sizeof(float));
    const size_t workspace_bytes = tt_adapt_workspace_bytes(session, TT_MODEL_CLASSES);
    void *workspace = aligned(workspace_bytes);
    const tt_adaptation_t task = {sample, x, labels, TT_MODEL_CLASSES, 2, 7, 0, 0, TT_AUGMENT_DEFAULTS};
    CALL(tt_adapt(session, &task, workspace, workspace_bytes, losses));
    show("losses", losses, 2);
    free(losses);
    free(workspace);
#endif
    CALL(tt_reset(session));
#if TT_MODEL_HAS_PROTOTYPES
    for (i = 0; i < TT_MODEL_CLASSES; ++i) {
        fill_input(x, i);
        CALL(tt_enroll(session, x, i));
    }
#endif
    fill_input(x, TT_MODEL_HAS_PROTOTYPES || TT_MODEL_DYNAMIC ? TT_MODEL_CLASSES - 1 : 1);
    CALL(tt_predict(session, x, scores));
    printf("reset %d\n", memcmp(scores, first, TT_MODEL_CLASSES * sizeof(float)));
    free(x);
    free(scores);
    free(first);
    free(row_pool);
    free(arena);
    free(session);
    return 0;
}
"""

# What firmware links: every function of the API, and nothing of a C library's but mathematics.
FIRMWARE = r"""
#include "tt_model.h"

int main(void);
void _exit(int status);
void _exit(int status) { (void)status; for (;;) {} }

static float x[TT_MODEL_INPUT_ELEMENTS] __attribute__((aligned(16)));
static float scores[TT_MODEL_CLASSES];
static uint8_t arena[TT_MODEL_ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __attribute__((aligned(16)));
static tt_session_t session;

int main(void)
{
    float loss;
    (void)tt_init(&session, &tt_model, arena, sizeof arena, row_pool, sizeof row_pool);
    (void)tt_predict(&session, x, scores);
    (void)tt_train_step(&session, x, 0, &loss);
    (void)tt_set_learning_rate(&session, 0.1f);
#if TT_MODEL_HAS_PROTOTYPES
    (void)tt_enroll(&session, x, 0);
    (void)tt_embedding(&session, x, x);
    (void)tt_forget_prototypes(&session);
#endif
#if TT_MODEL_DYNAMIC
    (void)tt_fisher_accumulate(&session, x, 0);
    (void)tt_select(&session, 0);
#endif
#if TT_MODEL_ADAPTABLE
    (void)tt_adapt(&session, 0, 0, 0, 0);
#endif
    (void)tt_reset(&session);
    return tt_status_text(TT_OK)[0];
}
"""
