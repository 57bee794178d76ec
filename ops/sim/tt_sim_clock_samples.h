/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_CLOCK_SAMPLES_H
#define TT_SIM_CLOCK_SAMPLES_H

/* Shared with the assembler. The longest period of a tick's phase is 125 instructions (31.25 a tick). */
#define TT_SIM_CLOCK_SAMPLES 128
/* Instructions of the sampling loop in tt_sim_timed_call.S. */
#define TT_SIM_CLOCK_SPACING 7

/* What tt_sim_take_stack takes: more than the counting itself. */
#define TT_SIM_KNOWN_STACK 1024

#endif /* TT_SIM_CLOCK_SAMPLES_H */
