/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_paint.h"

#define PAINT 0xc5a3917eu

static volatile uint32_t *top;

__attribute__((noinline)) void tt_sim_paint_stack(void) {
    volatile uint32_t *word;
    __asm__ volatile("mov %0, sp" : "=r"(word));
    top = word;
    for (uint32_t i = 0; i < TT_SIM_STACK_WATCHED / 4u; ++i) {
        *--word = PAINT;
    }
}

uint32_t tt_sim_painted_over(void) {
    const volatile uint32_t *lowest = top - TT_SIM_STACK_WATCHED / 4u;
    while (lowest < top && *lowest == PAINT) {
        ++lowest;
    }
    return (uint32_t)((uintptr_t)top - (uintptr_t)lowest);
}
