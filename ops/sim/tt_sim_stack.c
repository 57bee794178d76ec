/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_stack.h"

#define PAINT 0xc5a3917eu

static uint32_t overhead;

/* Defined in tt_sim_timed_call.S. */
void tt_sim_return_at_once(void);

__attribute__((noinline)) static volatile uint32_t *paint(void)
{
    volatile uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (uint32_t i = 1; i <= TT_SIM_STACK_WATCHED / 4u; ++i) {
        top[-(int32_t)i] = PAINT;
    }
    return top;
}

__attribute__((noinline)) static uint32_t painted_over(const volatile uint32_t *top)
{
    const volatile uint32_t *lowest = top - TT_SIM_STACK_WATCHED / 4u;
    while (lowest < top && *lowest == PAINT) {
        ++lowest;
    }
    return (uint32_t)((uintptr_t)top - (uintptr_t)lowest);
}

uint32_t tt_sim_count_stack(const tt_sim_call_t *call, uint64_t *instructions, uint32_t *stack_bytes)
{
    const volatile uint32_t *top = paint();
    const uint32_t result = tt_sim_count(call, instructions);
    const uint32_t used = painted_over(top);
    *stack_bytes = used > overhead ? used - overhead : 0u;
    return result;
}

void tt_sim_stack_start(void)
{
    const tt_sim_call_t call = {(uint32_t)(uintptr_t)&tt_sim_return_at_once, {0u, 0u, 0u, 0u}};
    uint64_t instructions;
    uint32_t used;
    overhead = 0u;
    (void)tt_sim_count_stack(&call, &instructions, &used);
    overhead = used;
}
