/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_stack.h"

#include "tt_sim_clock_samples.h"
#include "tt_sim_paint.h"

/* Of the stack, from where it is painted to where the counted call begins. */
static uint32_t overhead;

/* Defined in tt_sim_timed_call.S. */
void tt_sim_take_stack(void);

uint32_t tt_sim_count_stack(const tt_sim_call_t *call, uint64_t *instructions, uint32_t *stack_bytes) {
    tt_sim_paint_stack();
    const uint32_t result = tt_sim_count(call, instructions);
    const uint32_t used = tt_sim_painted_over();
    *stack_bytes = used > overhead ? used - overhead : 0u;
    return result;
}

void tt_sim_stack_start(void) {
    const tt_sim_call_t call = {(uint32_t)(uintptr_t)&tt_sim_take_stack, {0u, 0u, 0u, 0u}};
    uint64_t instructions;
    uint32_t used;
    overhead = 0u;
    (void)tt_sim_count_stack(&call, &instructions, &used);
    overhead = used - TT_SIM_KNOWN_STACK;
}
