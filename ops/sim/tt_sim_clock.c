/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_clock.h"

#include "tt_sim_clock_samples.h"
#include "tt_sim_semihost.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

static uint32_t samples_before[TT_SIM_CLOCK_SAMPLES];
static uint32_t samples_after[TT_SIM_CLOCK_SAMPLES];
static uint64_t overhead;

/* Defined in tt_sim_timed_call.S. */
uint32_t tt_sim_timed_call(const tt_sim_call_t *call, uint32_t *before, uint32_t *after);
void tt_sim_return_at_once(void);

#if TT_SIM_TIMER_COUNTS_DOWN
/* CMSDK APB timer. Restarted for each measurement, so that it cannot run out between two of them. */
static void start_timer(void) {
    REGISTER(TT_SIM_TIMER_CONTROL + 0x0u) = 0u;          /* CTRL */
    REGISTER(TT_SIM_TIMER_CONTROL + 0x8u) = 0xffffffffu; /* RELOAD */
    REGISTER(TT_SIM_TIMER_CONTROL + 0x4u) = 0xffffffffu; /* VALUE */
    REGISTER(TT_SIM_TIMER_CONTROL + 0x0u) = 1u;
}

static uint32_t ticks_of(uint32_t sample) {
    return 0xffffffffu - sample;
}
#else
/* SSE system counter: 64 bits of which the lower half is read, a wrap being seen by ticks_since. */
static void start_timer(void) {
    REGISTER(TT_SIM_TIMER_CONTROL) = 1u; /* CNTCR.EN */
}

static uint32_t ticks_of(uint32_t sample) {
    return sample;
}
#endif

uint32_t tt_sim_ticks(void) {
    return ticks_of(REGISTER(TT_SIM_TIMER_COUNT));
}

/* The first instruction at which the timer shows this many ticks. */
static uint64_t tick_begins(uint64_t ticks) {
    return (ticks * TT_SIM_TICK_NUMERATOR + TT_SIM_TICK_DENOMINATOR - 1u) / TT_SIM_TICK_DENOMINATOR;
}

/* origin: a reading made before the samples, at which the returned time starts to count ticks. */
static uint64_t time_of_first(const uint32_t *samples, uint32_t origin) {
    uint64_t earliest = 0u;
    uint64_t latest = UINT64_MAX;
    for (uint32_t i = 0; i < TT_SIM_CLOCK_SAMPLES; ++i) {
        const uint64_t ticks = (uint64_t)origin + (ticks_of(samples[i]) - origin);
        const uint64_t since_first = (uint64_t)i * TT_SIM_CLOCK_SPACING;
        /* A tick may have begun before the first sample did, but never before the timer. */
        const uint64_t begins = tick_begins(ticks);
        const uint64_t ends = tick_begins(ticks + 1u) - 1u;
        if (begins > since_first && begins - since_first > earliest) {
            earliest = begins - since_first;
        }
        if (ends >= since_first && ends - since_first < latest) {
            latest = ends - since_first;
        }
    }
    if (earliest != latest) {
        tt_sim_print("the timer does not fix the instruction count: is the emulator run with -icount shift=0?\n");
        tt_sim_exit(1u);
    }
    return earliest;
}

static uint64_t measure(const tt_sim_call_t *call, uint32_t *result) {
    start_timer();
    *result = tt_sim_timed_call(call, samples_before, samples_after);
    const uint32_t origin = ticks_of(samples_before[0]);
    return time_of_first(samples_after, origin) - time_of_first(samples_before, origin);
}

void tt_sim_clock_start(void) {
    const tt_sim_call_t call = {(uint32_t)(uintptr_t)&tt_sim_return_at_once, {0u, 0u, 0u, 0u}};
    uint32_t ignored;
    /* The empty function's own return is an instruction of the call, not of the measurement. */
    overhead = measure(&call, &ignored) - 1u;
}

uint32_t tt_sim_count(const tt_sim_call_t *call, uint64_t *instructions) {
    uint32_t result;
    *instructions = measure(call, &result) - overhead;
    return result;
}
