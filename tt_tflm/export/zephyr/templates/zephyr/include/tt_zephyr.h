/* SPDX-License-Identifier: Apache-2.0 */
/* The model behind commands on a UART: see CONFIG_TINYTRAIN_CONSOLE. */
#ifndef TT_ZEPHYR_H
#define TT_ZEPHYR_H

#include "tt_zephyr_compat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A thread that computes in floating point says so where threads share the FPU. */
#ifdef CONFIG_FPU_SHARING
#define TT_ZEPHYR_THREAD_OPTIONS K_FP_REGS
#else
#define TT_ZEPHYR_THREAD_OPTIONS 0
#endif

/*
 * To be called first in a thread that calls the model. Zephyr 3.0 sets FPSCR.LTPSIZE of a Cortex-M55 to 0, with which
 * the low-overhead loops of GCC 11 and later fault; 4, the value after a reset, stands for no tail predication.
 */
static inline void tt_zephyr_begin_thread(void) {
#if defined(CONFIG_FPU) && defined(CONFIG_ARMV8_1_M_MAINLINE)
    __asm__ volatile("vmsr fpscr, %0" : : "r"(4u << 16));
#endif
}

/*
 * The entry of the console's thread: prepares the session, loads what was saved, says so, and takes commands for ever;
 * it returns when the UART is not ready. One thread may run it, defined with the options below.
 */
void tt_zephyr_console(void *unused_1, void *unused_2, void *unused_3);

#ifdef __cplusplus
}
#endif

#endif /* TT_ZEPHYR_H */
