/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_CLOCK_H
#define TT_SIM_CLOCK_H

#include <stdint.h>

/*
 * Exact instruction counts. Under `-icount shift=0` every instruction takes one nanosecond of the
 * emulator's virtual time, and the board's timer ticks every TT_SIM_TICK_NUMERATOR /
 * TT_SIM_TICK_DENOMINATOR nanoseconds. A single reading is known to a tick only; a train of readings
 * seven instructions apart meets every phase of the tick (7 has no factor in common with its period), and
 * so fixes the time of the first reading to one instruction.
 */

/* A function of up to four words and its arguments as the procedure call standard passes them (r0 to r3). */
typedef struct {
    uint32_t function;
    uint32_t arguments[4];
} tt_sim_call_t;

/* Starts the timer and measures what measuring costs. To be called once, before tt_sim_count. */
void tt_sim_clock_start(void);

/*
 * Calls the function and counts its instructions, from its first to its return, both included.
 *
 * call:         in, not NULL.
 * instructions: out, not NULL.
 * Returns what the function returned in r0.
 */
uint32_t tt_sim_count(const tt_sim_call_t *call, uint64_t *instructions);

/* What the timer shows, in ticks, upwards: for differences within a call that is being counted. */
uint32_t tt_sim_ticks(void);

#endif /* TT_SIM_CLOCK_H */
