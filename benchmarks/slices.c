/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets a board choose and adapt in slices, and prints a line for each kind of slice: its number, the most instructions of
 * one slice, and the most between two signs of life in it (pulses, beginning and end). TT_SAMPLES of the support set.
 */
#include "tt_console_text.h"
#include "tt_sim_clock.h"
#include "tt_sim_model.h"
#include "tt_sim_semihost.h"

#define KINDS 9u
#define OF_ADAPTER 3u /* where the kinds of slices of an adaptation begin, by their stage */
#define ADDRESS(thing) ((uint32_t)(uintptr_t)(thing))

static tt_session_t session;
static _Alignas(16) uint8_t arena[TT_MODEL_ARENA_BYTES];
static _Alignas(16) uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES];
static _Alignas(16) uint8_t workspace[TT_MODEL_ADAPT_WORKSPACE_BYTES(TT_SAMPLES)];
static _Alignas(16) float x[TT_MODEL_INPUT_ELEMENTS];
static uint32_t labels[TT_SAMPLES];
static float losses[1];
static tt_inspector_t inspector;
static tt_adapter_t adapter;
static uint32_t seen; /* ticks at the latest sign of life */
static uint32_t longest[KINDS];
static uint64_t largest[KINDS];
static uint32_t kind;

static void sign_of_life(void *context) {
    const uint32_t now = tt_sim_ticks();
    (void)context;
    if (now - seen > longest[kind]) {
        longest[kind] = now - seen;
    }
    seen = tt_sim_ticks();
}

/* Noise about a mean that differs from class to class. */
static const float *sample(void *context, uint32_t index) {
    uint32_t state = index * 2654435761u + 1u;
    (void)context;
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 16) / 65536.0f - 0.5f + 0.3f * (float)labels[index];
    }
    return x;
}

static uint32_t slice(void) {
    seen = tt_sim_ticks();
    const tt_status_t status = kind < OF_ADAPTER ? tt_inspect_step(&inspector) : tt_adapt_step(&adapter);
    sign_of_life(NULL);
    return (uint32_t)status;
}

static bool counted(uint32_t of) {
    const tt_sim_call_t call = {ADDRESS(&slice), {0u, 0u, 0u, 0u}};
    uint64_t instructions;
    kind = of;
    if (tt_sim_count(&call, &instructions) != TT_OK) {
        return false;
    }
    if (instructions > largest[of]) {
        largest[of] = instructions;
    }
    return true;
}

static bool learn(void) {
    const tt_support_t support = {sample, NULL, labels, TT_SAMPLES};
    tt_adaptation_t task = {sample, NULL, labels, TT_SAMPLES, 1u, 0u, 1u, 1u, TT_AUGMENT_DEFAULTS};
    if (tt_inspect_begin(&inspector, &session, &support, NULL, workspace, sizeof workspace) != TT_OK) {
        return false;
    }
    while (!tt_inspect_done(&inspector)) {
        if (!counted(inspector.stage)) {
            return false;
        }
    }
    for (task.exact = 0u; task.exact < 2u; ++task.exact) {
        if (tt_adapt_begin(&adapter, &session, &task, workspace, sizeof workspace, losses) != TT_OK) {
            return false;
        }
        while (!tt_adapt_done(&adapter)) {
            if (!counted(OF_ADAPTER + adapter.stage)) {
                return false;
            }
        }
    }
    return true;
}

static void print(uint64_t number, const char *end) {
    char digits[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_decimal(digits, (uint32_t)number);
    tt_sim_print(digits);
    tt_sim_print(end);
}

int main(void) {
    for (uint32_t i = 0; i < TT_SAMPLES; ++i) {
        labels[i] = i % TT_MODEL_CLASSES;
    }
    tt_sim_clock_start();
    if (tt_init(&session, &TT_SIM_MODEL, arena, sizeof arena, row_pool, sizeof row_pool) != TT_OK ||
        tt_set_pulse(&session, sign_of_life, NULL) != TT_OK || !learn()) {
        return 1;
    }
    for (uint32_t i = 0; i < KINDS; ++i) {
        print(i, " ");
        print(largest[i], " ");
        /* A reading is known to a tick. */
        print(((uint64_t)longest[i] + 1u) * TT_SIM_TICK_NUMERATOR / TT_SIM_TICK_DENOMINATOR + 1u, "\n");
    }
    return 0;
}
