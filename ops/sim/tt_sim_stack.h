/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_STACK_H
#define TT_SIM_STACK_H

#include <stdint.h>

#include "tt_sim_clock.h"

/* Measures where the stack of a counted call begins. To be called once, after tt_sim_clock_start. */
void tt_sim_stack_start(void);

/*
 * tt_sim_count, and how deep the stack gets below the call, return addresses and saved registers included: it is painted
 * before and looked at afterwards. A call that takes less than the counting (some 40 bytes) is given that much.
 *
 * stack_bytes: out, not NULL.
 */
uint32_t tt_sim_count_stack(const tt_sim_call_t *call, uint64_t *instructions, uint32_t *stack_bytes);

#endif /* TT_SIM_STACK_H */
