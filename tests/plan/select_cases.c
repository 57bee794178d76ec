/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selects on tables that are compiled in (cases.h is generated) and writes what came out to results.bin: per case the
 * instructions (0 on the host), the status, and on success the four figures of the cost, the counts and the channel
 * lists. Every array has exactly the documented size, for the sanitisers to watch.
 */
#include <stddef.h>
#include <stdint.h>

#include "tt_select.h"

typedef struct {
    tt_cost_table_t table;
    const float *potentials;
    tt_budget_t budget;
    uint32_t share_256;
    uint16_t *counts;
    uint16_t *channels;
} case_t;

#include "cases.h"

#define UNTOUCHED 0xabcdu
#define CASE_COUNT (sizeof CASES / sizeof CASES[0])
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return __LINE__;                                                                                           \
        }                                                                                                              \
    } while (0)

#ifdef __arm__
#include "tt_sim_clock.h"
#include "tt_sim_semihost.h"

static int32_t results;

static void begin(void) {
    results = tt_sim_open("results.bin", TT_SIM_OPEN_WRITE);
    tt_sim_clock_start();
}

static void put(const void *bytes, size_t count) {
    (void)tt_sim_write(results, bytes, (uint32_t)count);
}
#else
#include <stdio.h>

static FILE *results;

static void begin(void) {
    results = fopen("results.bin", "wb");
}

static void put(const void *bytes, size_t count) {
    if (results != NULL) {
        (void)fwrite(bytes, 1, count, results);
    }
}
#endif

static uint32_t run(const case_t *entry) {
    tt_selection_t selection = {entry->counts, entry->channels};
    return (uint32_t)tt_select_channels(&entry->table, entry->potentials, &entry->budget, entry->share_256, &selection);
}

static uint32_t timed_run(const case_t *entry, uint64_t *instructions) {
#ifdef __arm__
    const tt_sim_call_t call = {(uint32_t)(uintptr_t)run, {(uint32_t)(uintptr_t)entry, 0u, 0u, 0u}};
    return tt_sim_count(&call, instructions);
#else
    *instructions = 0u;
    return run(entry);
#endif
}

static int try_case(const case_t *entry) {
    const uint32_t candidates = entry->table.candidate_count;
    const uint32_t channels = tt_cost_table_channels(&entry->table);
    uint64_t instructions;
    for (uint32_t i = 0; i < candidates; ++i) {
        entry->counts[i] = UNTOUCHED;
    }
    for (uint32_t o = 0; o < channels; ++o) {
        entry->channels[o] = UNTOUCHED;
    }
    const uint32_t status = timed_run(entry, &instructions);
    const uint32_t head[2] = {(uint32_t)instructions, status};
    put(head, sizeof head);
    if (status != (uint32_t)TT_OK) {
        EXPECT(entry->counts[0] == UNTOUCHED && entry->channels[0] == UNTOUCHED);
        return 0;
    }
    tt_plan_cost_t cost;
    EXPECT(tt_plan_cost(&entry->table, entry->counts, &cost) == TT_OK);
    put(&cost, sizeof cost);
    put(entry->counts, candidates * sizeof(uint16_t));
    for (uint32_t i = 0, begin_of_list = 0; i < candidates; begin_of_list += entry->table.candidates[i].channels, ++i) {
        put(&entry->channels[begin_of_list], entry->counts[i] * sizeof(uint16_t));
    }
    return 0;
}

static int check_refusals(void) {
    const tt_candidate_t candidates[2] = {{2u, 6u, 24u, 3u, 32u, 12u}, {1u, 3u, 12u, 3u, 32u, 12u}};
    const tt_candidate_t without_channels = {0u, 6u, 24u, 3u, 32u, 12u};
    const float potentials[3] = {1.0f, 2.0f, 3.0f};
    const tt_budget_t none = {TT_BUDGET_NONE, TT_BUDGET_NONE, TT_BUDGET_NONE};
    uint16_t counts[2] = {0u, 0u};
    uint16_t channels[3];
    tt_plan_cost_t cost;
    tt_selection_t selection = {counts, channels};
    tt_selection_t without_counts = {NULL, channels};
    tt_selection_t without_lists = {counts, NULL};
    const tt_cost_table_t table = {candidates, NULL, NULL, 2u, 0u, 0u, 0u};
    tt_cost_table_t bad = table;

    EXPECT(tt_select_channels(&table, potentials, &none, 256u, &selection) == TT_OK);
    EXPECT(tt_select_channels(&table, potentials, &none, 257u, &selection) == TT_ERROR_INVALID_ARGUMENT);
    EXPECT(tt_select_channels(NULL, potentials, &none, 128u, &selection) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_select_channels(&table, NULL, &none, 128u, &selection) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_select_channels(&table, potentials, NULL, 128u, &selection) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_select_channels(&table, potentials, &none, 128u, NULL) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_select_channels(&table, potentials, &none, 128u, &without_counts) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_select_channels(&table, potentials, &none, 128u, &without_lists) == TT_ERROR_NULL_POINTER);
    bad.candidates = NULL;
    EXPECT(tt_select_channels(&bad, potentials, &none, 128u, &selection) == TT_ERROR_NULL_POINTER);
    bad = table;
    bad.tensor_count = 1u;
    EXPECT(tt_select_channels(&bad, potentials, &none, 128u, &selection) == TT_ERROR_NULL_POINTER);
    bad = table;
    bad.mac_item_count = 1u;
    EXPECT(tt_plan_cost(&bad, counts, &cost) == TT_ERROR_NULL_POINTER);
    bad = table;
    bad.candidate_count = 0u;
    EXPECT(tt_select_channels(&bad, potentials, &none, 128u, &selection) == TT_ERROR_INVALID_ARGUMENT);
    bad.candidate_count = TT_MAX_CANDIDATES + 1u;
    EXPECT(tt_plan_cost(&bad, counts, &cost) == TT_ERROR_INVALID_ARGUMENT);
    bad.candidates = &without_channels;
    bad.candidate_count = 1u;
    EXPECT(tt_plan_cost(&bad, counts, &cost) == TT_ERROR_INVALID_ARGUMENT);

    EXPECT(tt_plan_cost(&table, NULL, &cost) == TT_ERROR_NULL_POINTER);
    EXPECT(tt_plan_cost(&table, counts, NULL) == TT_ERROR_NULL_POINTER);
    counts[1] = 2u;
    EXPECT(tt_plan_cost(&table, counts, &cost) == TT_ERROR_INVALID_ARGUMENT);
    return 0;
}

int main(void) {
    begin();
    EXPECT(check_refusals() == 0);
    for (size_t i = 0; i < CASE_COUNT; ++i) {
        EXPECT(try_case(&CASES[i]) == 0);
    }
#ifndef __arm__
    EXPECT(results != NULL && fclose(results) == 0);
#endif
    return 0;
}
