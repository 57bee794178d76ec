/* SPDX-License-Identifier: Apache-2.0 */
/* In assembler, because the number of instructions between two readings has to be known and constant. */
#include "tt_sim_clock_samples.h"

    .syntax unified
    .thumb
    .text

/* uint32_t tt_sim_timed_call(const tt_sim_call_t *call, uint32_t *before, uint32_t *after) */
    .global tt_sim_timed_call
    .type tt_sim_timed_call, %function
    .thumb_func
tt_sim_timed_call:
    push    {r4, r5, r6, lr}
    mov     r4, r0
    mov     r5, r2
    mov     r0, r1
    bl      sample
    ldr     r6, [r4, #0]
    ldr     r0, [r4, #4]
    ldr     r1, [r4, #8]
    ldr     r2, [r4, #12]
    ldr     r3, [r4, #16]
    blx     r6
    mov     r6, r0
    mov     r0, r5
    bl      sample
    mov     r0, r6
    pop     {r4, r5, r6, pc}

/* r0: where the readings go */
    .type sample, %function
    .thumb_func
sample:
    ldr     r1, =TT_SIM_TIMER_COUNT
    movs    r2, #TT_SIM_CLOCK_SAMPLES
next_sample:                            /* TT_SIM_CLOCK_SPACING instructions */
    ldr     r3, [r1]
    str     r3, [r0], #4
    nop
    nop
    nop
    subs    r2, r2, #1
    bne     next_sample
    bx      lr
    .ltorg

    .global tt_sim_return_at_once
    .type tt_sim_return_at_once, %function
    .thumb_func
tt_sim_return_at_once:
    bx      lr

/* Writes the word TT_SIM_KNOWN_STACK bytes below its caller's stack. */
    .global tt_sim_take_stack
    .type tt_sim_take_stack, %function
    .thumb_func
tt_sim_take_stack:
    sub     sp, sp, #TT_SIM_KNOWN_STACK
    str     r0, [sp]
    add     sp, sp, #TT_SIM_KNOWN_STACK
    bx      lr
