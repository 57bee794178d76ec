/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random interleavings of a sliced choice and adaptation with predict, save, cancel, load and reset, on a build that
 * chooses on the board. The arena is spoilt before every call, and every buffer has exactly its size.
 *
 * After each: the session predicts, to the bit, what a fresh one does that has loaded its rows and enrolled the same
 * support set. Where nothing was cancelled: what tt_inspect and tt_adapt make of the same start, losses included. At each
 * save: what is loaded predicts what the session does at that moment.
 *
 *     interleavings COUNT SEED
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_model.h"
#include "tt_storage_ram.h"

#define MOST_SAMPLES 3u
#define MOST_ITERATIONS 2u
#define PROBES 2u
#define STRIDE ((TT_MODEL_INPUT_ELEMENTS + 1u) / 2u * 2u)
#define STORAGE_BYTES (2u * ((TT_MODEL_STATE_BYTES + 7u) / 8u * 8u))

typedef struct {
    tt_session_t session;
    uint8_t *arena;
    uint8_t *row_pool;
    uint8_t *workspace;
} board_t;

typedef struct {
    float x[MOST_SAMPLES][STRIDE];
    uint32_t labels[MOST_SAMPLES];
    uint32_t samples; /* 0: none */
} support_t;

typedef struct {
    uint8_t bytes[STORAGE_BYTES];
    tt_storage_ram_t ram;
    tt_storage_t storage;
} memory_t;

typedef struct {
    tt_status_t status;
    float scores[PROBES][TT_MODEL_CLASSES];
} seen_t;

static uint64_t state;
static board_t mine;
static board_t other;
static board_t unsliced;
static support_t drawn;
static support_t enrolled; /* what the prototypes of mine are of ... */
static bool current;       /* ... and whether its rows are those that they were made by */
static memory_t kept;      /* by the operation save */
static support_t kept_enrolled;
static bool kept_current;
static seen_t kept_seen;
static float probes[PROBES][STRIDE];
static bool has_kept;

static void fail(const char *why, uint32_t number) {
    fprintf(stderr, "interleaving %u: %s\n", (unsigned)number, why);
    exit(1);
}

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static void draw_x(float *x) {
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        x[i] = (float)draw(2001u) / 1000.0f - 1.0f;
    }
}

static void *exactly(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 16u, bytes) != 0) {
        exit(2);
    }
    return memory;
}

static void spoil(board_t *board) {
    memset(board->arena, 0xff, TT_MODEL_ARENA_BYTES);
}

static void start(board_t *board) {
    if (board->arena == NULL) {
        board->arena = exactly(TT_MODEL_ARENA_BYTES);
        board->row_pool = exactly(TT_MODEL_ROW_POOL_BYTES);
        board->workspace = exactly(TT_MODEL_ADAPT_WORKSPACE_BYTES(MOST_SAMPLES));
    }
    spoil(board);
    memset(board->row_pool, 0xa5, TT_MODEL_ROW_POOL_BYTES);
    if (tt_init(&board->session, &tt_model, board->arena, TT_MODEL_ARENA_BYTES, board->row_pool,
                TT_MODEL_ROW_POOL_BYTES) != TT_OK) {
        exit(2);
    }
}

static seen_t look(board_t *board) {
    seen_t seen;
    memset(&seen, 0, sizeof seen);
    for (uint32_t i = 0; i < PROBES; ++i) {
        spoil(board);
        seen.status = tt_predict(&board->session, probes[i], seen.scores[i]);
        if (seen.status != TT_OK) {
            memset(seen.scores[i], 0, sizeof seen.scores[i]);
        }
    }
    return seen;
}

static bool same(const seen_t *a, const seen_t *b) {
    return a->status == b->status && memcmp(a->scores, b->scores, sizeof a->scores) == 0;
}

static const float *sample(void *context, uint32_t index) {
    return ((const support_t *)context)->x[index];
}

/* A fresh session with the rows, and the prototypes, of mine. */
static void copy_mine(board_t *board, uint32_t number) {
    static memory_t memory;
    memory.storage = tt_storage_ram(&memory.ram, memory.bytes, sizeof memory.bytes);
    memset(memory.bytes, 0, sizeof memory.bytes);
    spoil(&mine);
    if (tt_save(&mine.session, &memory.storage) != TT_OK) {
        fail("it cannot be saved", number);
    }
    start(board);
    if (tt_load(&board->session, &memory.storage) != TT_OK) {
        fail("what was saved cannot be loaded", number);
    }
}

static void check_copy(uint32_t number) {
    copy_mine(&other, number);
    const seen_t seen = look(&mine);
    const seen_t expected = look(&other);
    if (!same(&seen, &expected)) {
        fail("what was saved predicts otherwise", number);
    }
}

static void check_prototypes(uint32_t number) {
    copy_mine(&other, number);
    if (current) {
        (void)tt_forget_prototypes(&other.session);
        for (uint32_t i = 0; i < enrolled.samples; ++i) {
            spoil(&other);
            if (tt_enroll(&other.session, enrolled.x[i], enrolled.labels[i]) != TT_OK) {
                fail("the support set cannot be enrolled", number);
            }
        }
    }
    const seen_t seen = look(&mine);
    const seen_t expected = look(&other);
    if (current && seen.status != (enrolled.samples > 0u ? TT_OK : TT_ERROR_NOT_ENROLLED)) {
        fail("it does not predict", number);
    }
    if (!same(&seen, &expected)) {
        fail("prototypes are not those of the rows", number);
    }
}

/* ---- one interleaving ---- */

typedef struct {
    bool adapting;
    bool cancelled;
    uint32_t steps; /* of the choice */
    tt_adaptation_t task;
    tt_inspector_t inspector;
    tt_adapter_t adapter;
    float *losses;
} run_t;

static tt_support_t support_of(void) {
    const tt_support_t support = {sample, &drawn, drawn.labels, drawn.samples};
    return support;
}

static tt_status_t begin_adapting(run_t *run) {
    run->adapting = true;
    return tt_adapt_begin(&run->adapter, &mine.session, &run->task, mine.workspace,
                          tt_adapt_workspace_bytes(&mine.session, drawn.samples), run->losses);
}

static bool done(const run_t *run) {
    return run->adapting ? tt_adapt_done(&run->adapter) : tt_inspect_done(&run->inspector);
}

static void step(run_t *run, uint32_t number) {
    spoil(&mine);
    if (run->adapting) {
        if (tt_adapt_step(&run->adapter) != TT_OK) {
            fail("a step of the adaptation failed", number);
        }
        return;
    }
    if (tt_inspect_step(&run->inspector) != TT_OK) {
        fail("a step of the choice failed", number);
    }
    run->steps += 1u;
    if (tt_inspect_done(&run->inspector) && !run->cancelled && begin_adapting(run) != TT_OK) {
        fail("an adaptation cannot begin", number);
    }
}

static void cancel(run_t *run, uint32_t number) {
    uint32_t steps = 0u;
    run->cancelled = true;
    if (run->adapting) {
        tt_adapt_cancel(&run->adapter);
    } else {
        tt_inspect_cancel(&run->inspector);
    }
    while (!done(run)) {
        step(run, number);
        if (++steps > drawn.samples + 1u) {
            fail("a cancelled adaptation goes on", number);
        }
    }
}

static void save(uint32_t number) {
    check_copy(number);
    spoil(&mine);
    if (tt_save(&mine.session, &kept.storage) != TT_OK) {
        fail("it cannot be saved", number);
    }
    kept_seen = look(&mine);
    kept_enrolled = enrolled;
    kept_current = false; /* prototypes may be older than rows while it adapts */
    has_kept = true;
}

static void load(uint32_t number) {
    spoil(&mine);
    if (tt_load(&mine.session, &kept.storage) != TT_OK) {
        fail("what was saved cannot be loaded", number);
    }
    const seen_t seen = look(&mine);
    if (!same(&seen, &kept_seen)) {
        fail("what was loaded predicts otherwise than when it was saved", number);
    }
    enrolled = kept_enrolled;
    current = kept_current;
}

static void compare_unsliced(const run_t *run, uint32_t number) {
    float losses[MOST_ITERATIONS];
    const tt_support_t support = support_of();
    tt_session_t *session = &unsliced.session;
    spoil(&unsliced);
    if (tt_inspect(session, &support, NULL, unsliced.workspace, tt_enrolment_bytes(session)) != TT_OK ||
        tt_adapt(session, &run->task, unsliced.workspace, tt_adapt_workspace_bytes(session, drawn.samples), losses) !=
            TT_OK) {
        fail("the unsliced adaptation failed", number);
    }
    const seen_t seen = look(&mine);
    const seen_t expected = look(&unsliced);
    if (!same(&seen, &expected) || memcmp(losses, run->losses, run->task.iterations * sizeof(float)) != 0) {
        fail("it differs from the unsliced adaptation", number);
    }
}

static void begin(run_t *run, bool inspects, uint32_t number) {
    memset(run, 0, sizeof *run);
    drawn.samples = 1u + draw(MOST_SAMPLES);
    for (uint32_t i = 0; i < drawn.samples; ++i) {
        draw_x(drawn.x[i]);
        drawn.labels[i] = draw(TT_MODEL_CLASSES);
    }
    run->task.sample = sample;
    run->task.context = &drawn;
    run->task.labels = drawn.labels;
    run->task.samples = drawn.samples;
    run->task.iterations = draw(MOST_ITERATIONS + 1u);
    run->task.seed = draw(1000u);
    run->task.exact = draw(2u);
    run->task.paced = draw(2u);
    run->task.augment = tt_default_augment(&tt_model, draw(2u) == 0u);
    run->losses = exactly((run->task.iterations + 1u) * sizeof(float));
    const tt_support_t support = support_of();
    const tt_status_t status = inspects ? tt_inspect_begin(&run->inspector, &mine.session, &support, NULL,
                                                           mine.workspace, tt_enrolment_bytes(&mine.session))
                                        : begin_adapting(run);
    if (status != TT_OK) {
        fail("it cannot begin", number);
    }
}

/* Counts of what was drawn: steps, predictions, saves, cancellations, loads, resets, and whole runs compared. */
static uint64_t counts[7];

static void interleave(uint32_t number) {
    const bool inspects = draw(4u) > 0u;
    bool forgotten = false;
    run_t run;
    if (inspects) {
        copy_mine(&unsliced, number);
    }
    begin(&run, inspects, number);
    while (!done(&run) && !run.cancelled) {
        const uint32_t drawn_number = draw(40u);
        const uint32_t operation = drawn_number < 34u ? 0u : drawn_number - 33u; /* six others */
        switch (operation) {
        case 1:
        case 2:
            (void)look(&mine);
            ++counts[1];
            break;
        case 3:
            save(number);
            ++counts[2];
            break;
        case 4:
            cancel(&run, number);
            ++counts[3];
            break;
        case 5:
            if (has_kept) {
                cancel(&run, number);
                load(number);
                forgotten = true;
                ++counts[4];
            }
            break;
        case 6:
            if (draw(4u) == 0u) {
                cancel(&run, number);
                (void)tt_reset(&mine.session);
                enrolled.samples = 0u;
                current = true;
                forgotten = true;
                ++counts[5];
            }
            break;
        default:
            step(&run, number);
            ++counts[0];
        }
    }
    if (!forgotten && (run.adapting || run.steps >= drawn.samples)) {
        enrolled = drawn;
        current = true;
    }
    if (mine.session.hyper[0] != tt_model.hyper[0]) {
        fail("the learning rate is another one", number);
    }
    check_prototypes(number);
    if (inspects && !run.cancelled) {
        compare_unsliced(&run, number);
        ++counts[6];
    }
    free(run.losses);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    const uint32_t runs = (uint32_t)strtoul(argv[1], NULL, 10);
    state = strtoul(argv[2], NULL, 10) * 2654435761u + 1u;
    kept.storage = tt_storage_ram(&kept.ram, kept.bytes, sizeof kept.bytes);
    current = true;
    for (uint32_t i = 0; i < PROBES; ++i) {
        draw_x(probes[i]);
    }
    start(&mine);
    for (uint32_t i = 0; i < runs; ++i) {
        interleave(i);
    }
    printf("%u", (unsigned)runs);
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; ++i) {
        printf(" %llu", (unsigned long long)counts[i]);
    }
    printf("\n");
    return 0;
}
