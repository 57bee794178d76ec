/* SPDX-License-Identifier: Apache-2.0 */
/* Reset and faults of the emulated boards. Data and bss need no start-up: the emulator loads the ELF into RAM. */
#include <stddef.h>
#include <stdint.h>

#include "tt_sim_semihost.h"

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define CFSR (*(volatile uint32_t *)0xe000ed28u)
#define HFSR (*(volatile uint32_t *)0xe000ed2cu)
#define BFAR (*(volatile uint32_t *)0xe000ed38u)
#define FPU_FULL_ACCESS (0xfu << 20)
#define STACKED_PC 6

extern uint32_t tt_sim_stack_top[];
int main(void);
void tt_sim_reset(void);
void tt_sim_fault(void);
void tt_sim_report_fault(const uint32_t *frame);

typedef struct {
    uint32_t bit;
    const char *text;
} fault_cause_t;

static const fault_cause_t FAULT_CAUSES[] = {
    {0u, "instruction fetch from protected memory"},
    {1u, "access to protected memory"},
    {4u, "stack overflow"},
    {8u, "instruction fetch from an address without memory"},
    {9u, "access to an address without memory"},
    {10u, "access to an address without memory"},
    {12u, "stack overflow"},
    {16u, "undefined instruction"},
    {17u, "jump to an address that is not Thumb code"},
    {19u, "use of a coprocessor or FPU that the core lacks"},
    {24u, "unaligned access by an instruction that needs alignment"},
    {25u, "division by zero"},
};

void tt_sim_reset(void) {
    CPACR |= FPU_FULL_ACCESS;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    tt_sim_exit((uint32_t)main());
}

static void append_text(char **end, const char *text) {
    while (*text != '\0') {
        *(*end)++ = *text++;
    }
}

static void append_hex(char **end, const char *name, uint32_t value) {
    append_text(end, name);
    for (uint32_t shift = 32u; shift > 0u; shift -= 4u) {
        *(*end)++ = "0123456789abcdef"[(value >> (shift - 4u)) & 0xfu];
    }
}

void tt_sim_report_fault(const uint32_t *frame) {
    static char line[256];
    char *end = line;
    append_text(&end, "hard fault");
    for (size_t i = 0; i < sizeof FAULT_CAUSES / sizeof FAULT_CAUSES[0]; ++i) {
        if ((CFSR >> FAULT_CAUSES[i].bit) & 1u) {
            append_text(&end, ": ");
            append_text(&end, FAULT_CAUSES[i].text);
            break;
        }
    }
    append_hex(&end, " (pc 0x", frame[STACKED_PC]);
    append_hex(&end, ", cfsr 0x", CFSR);
    append_hex(&end, ", hfsr 0x", HFSR);
    append_hex(&end, ", address 0x", BFAR);
    append_text(&end, ")\n");
    *end = '\0';
    tt_sim_print(line);
    tt_sim_exit(1u);
}

__attribute__((naked)) void tt_sim_fault(void) {
    __asm__ volatile("mrs r0, msp\n\tb tt_sim_report_fault");
}

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector_t;

/* Only faults can happen: no interrupt is ever enabled. */
__attribute__((section(".vectors"), used)) static const vector_t VECTORS[16] = {
    {.stack = tt_sim_stack_top}, {.handler = tt_sim_reset}, {.handler = tt_sim_fault}, {.handler = tt_sim_fault},
    {.handler = tt_sim_fault},   {.handler = tt_sim_fault}, {.handler = tt_sim_fault}, {.handler = tt_sim_fault},
    {.handler = tt_sim_fault},   {.handler = tt_sim_fault}, {.handler = tt_sim_fault}, {.handler = tt_sim_fault},
    {.handler = tt_sim_fault},   {.handler = tt_sim_fault}, {.handler = tt_sim_fault}, {.handler = tt_sim_fault},
};
