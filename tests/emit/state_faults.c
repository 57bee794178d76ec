/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tt_save and tt_load of a build on a storage whose reads fail or change a bit, at every read of a load. Few bad reads
 * change nothing; after many, the session is that of a state that was saved, or as after tt_reset. Prints counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_model.h"

#define EXPECT(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))
#define STATE_ROOM ((TT_MODEL_STATE_BYTES + 255) / 256 * 256)
#define MANY 100000u
#define MAX_READS 4096u

static uint8_t memory[2 * STATE_ROOM];
static struct {
    uint32_t reads, first, times, bit, bytes[MAX_READS];
    bool silent;
} fault;

static void fail(const char *condition, int line) {
    fprintf(stderr, "line %d: expected %s\n", line, condition);
    exit(1);
}

static bool read_memory(void *context, uint32_t offset, void *bytes, uint32_t count) {
    const uint32_t index = ++fault.reads - fault.first;
    (void)context;
    EXPECT(count >= 1u && offset <= sizeof memory && count <= sizeof memory - offset && fault.reads < MAX_READS);
    memcpy(bytes, memory + offset, count);
    if (fault.times == 0u) {
        fault.bytes[fault.reads] = count;
    } else if (fault.reads >= fault.first && index < fault.times) {
        const uint32_t bit = (fault.bit + 37u * index) % (8u * count);
        ((uint8_t *)bytes)[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        return fault.silent;
    }
    return true;
}

static bool write_memory(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    (void)context;
    memcpy(memory + offset, bytes, count);
    return true;
}

static bool erase_memory(void *context, uint32_t offset, uint32_t count) {
    (void)context;
    memset(memory + offset, 0xff, count);
    return true;
}

static uint32_t size_of_memory(void *context) {
    (void)context;
    return sizeof memory;
}

static const tt_storage_t storage = {read_memory, write_memory, erase_memory, size_of_memory, NULL, 8u, 256u};
static _Alignas(16) float x[TT_MODEL_INPUT_ELEMENTS];

typedef struct {
    float scores[TT_MODEL_CLASSES];
    tt_status_t status;
} answer_t;

static answer_t ask(tt_session_t *session) {
    answer_t answer;
    memset(&answer, 0, sizeof answer);
    answer.status = tt_predict(session, x, answer.scores);
    return answer;
}

static bool alike(const answer_t *a, const answer_t *b) {
    return a->status == b->status && (a->status != TT_OK || memcmp(a->scores, b->scores, sizeof a->scores) == 0);
}

static void learn(tt_session_t *session, uint32_t label) {
#if TT_MODEL_HAS_PROTOTYPES
    EXPECT(tt_enroll(session, x, label) == TT_OK);
#endif
    EXPECT(tt_train_step(session, x, label, NULL) == TT_OK);
}

static void strike(uint32_t first, uint32_t times, uint32_t bit, bool silent) {
    fault.reads = 0u;
    fault.first = first;
    fault.times = times;
    fault.bit = bit;
    fault.silent = silent;
}

int main(void) {
    tt_session_t *session = malloc(sizeof *session);
    uint8_t *arena = aligned_alloc(16u, (TT_MODEL_ARENA_BYTES + 15) / 16 * 16);
    uint8_t *pool = aligned_alloc(16u, (TT_MODEL_ROW_POOL_BYTES + 15) / 16 * 16);
    answer_t base, old, new, found;
    uint32_t loads = 0u, resets = 0u, diverged = 0u, reads, read, k;
    for (k = 0; k < TT_MODEL_INPUT_ELEMENTS; ++k) {
        x[k] = (float)(k * 37u % 255u) / 127.5f - 1.0f;
    }
    EXPECT(tt_init(session, &tt_model, arena, TT_MODEL_ARENA_BYTES, pool, TT_MODEL_ROW_POOL_BYTES) == TT_OK);
    base = ask(session);
#if TT_MODEL_DYNAMIC
    {
        uint16_t counts[TT_MODEL_CANDIDATES] = {1}, channels[TT_MODEL_CANDIDATE_CHANNELS] = {0};
        EXPECT(tt_choose(session, counts, channels) == TT_OK);
    }
#endif
    learn(session, 0u);
    EXPECT(tt_save(session, &storage) == TT_OK);
    old = ask(session);
    learn(session, 1u);
    EXPECT(tt_save(session, &storage) == TT_OK);
    new = ask(session);
    EXPECT(!alike(&old, &new) && !alike(&old, &base));
    strike(0u, 0u, 0u, false);
    EXPECT(tt_load(session, &storage) == TT_OK);
    reads = fault.reads;
    for (read = 1u; read <= reads; ++read) {
        const uint32_t bits = 8u * fault.bytes[read];
        for (k = 0; k <= bits; k += bits <= 64u ? 1u : bits / 16u) {
            tt_status_t status;
            EXPECT(tt_reset(session) == TT_OK);
            strike(read, 1u + k % 3u, k, k < bits);
            EXPECT(tt_load(session, &storage) == TT_OK);
            found = ask(session);
            EXPECT(alike(&found, &new));
            strike(read, MANY, k, k < bits);
            status = tt_load(session, &storage);
            found = ask(session);
            EXPECT(status == TT_OK ? alike(&found, &old) || alike(&found, &new)
                                   : alike(&found, &base) || alike(&found, &new));
            loads += 2u;
            resets += status != TT_OK && alike(&found, &base) ? 1u : 0u;
        }
    }
    strike(0u, 0u, 0u, false);
    EXPECT(tt_load(session, &storage) == TT_OK && tt_set_learning_rate(session, 1e38f) == TT_OK);
    for (k = 0; k < 20u && diverged == 0u; ++k) {
        diverged = tt_train_step(session, x, k % 2u, NULL) == TT_ERROR_NOT_FINITE ? 1u : 0u;
    }
    if (diverged != 0u) {
        EXPECT(tt_save(session, &storage) == TT_ERROR_NOT_FINITE);
        EXPECT(tt_load(session, &storage) == TT_OK && tt_save(session, &storage) == TT_OK);
        found = ask(session);
        EXPECT(alike(&found, &new));
    }
    printf("loads %u resets %u diverged %u\n", loads, resets, diverged);
    free(session);
    free(arena);
    free(pool);
    return 0;
}
