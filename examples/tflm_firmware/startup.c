/* SPDX-License-Identifier: Apache-2.0 */
/* Reset of a Cortex-M with FPU; newlib's start-up code does the rest. Boards bring their own. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define FPU_FULL_ACCESS (0xfu << 20)

extern uint32_t __stack[];
void _start(void);
void tt_reset_handler(void);
void tt_fault_handler(void);

void tt_reset_handler(void) {
    CPACR |= FPU_FULL_ACCESS;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    _start();
}

/* Ends the emulator (semihosting, SYS_EXIT with a run-time error). */
void tt_fault_handler(void) {
    __asm__ volatile("mov r0, #0x18\n\tldr r1, =0x20023\n\tbkpt 0xab" ::: "r0", "r1", "memory");
    for (;;) {
    }
}

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector_t;

__attribute__((section(".vectors"), used)) static const vector_t VECTORS[16] = {
    {.stack = __stack},
    {.handler = tt_reset_handler},
    {.handler = tt_fault_handler},
    {.handler = tt_fault_handler},
    {.handler = tt_fault_handler},
    {.handler = tt_fault_handler},
    {.handler = tt_fault_handler},
};
