/* SPDX-License-Identifier: Apache-2.0 */
/* The model behind commands on a UART: see CONFIG_TINYTRAIN_CONSOLE. */
#ifndef TT_ZEPHYR_H
#define TT_ZEPHYR_H

#include "tt_session.h"
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
 * The entry of the console's thread: prepares the session, loads what was saved, says so, and takes commands for ever,
 * also while it learns; it returns when the UART is not ready. One thread may run it, defined with the options above.
 */
void tt_zephyr_console(void *unused_1, void *unused_2, void *unused_3);

#ifdef CONFIG_TINYTRAIN_CONSOLE
/*
 * The session of the console, for threads of the application: theirs from here to tt_zephyr_unlock. The console holds it
 * for one slice of its work at a time, a pass of one sample at most. While tt_zephyr_learns, tt_adapt.h says what may be
 * called. Returns NULL when the timeout is over, or the console has not prepared its session.
 */
tt_session_t *tt_zephyr_lock(k_timeout_t timeout);
void tt_zephyr_unlock(void);

/* Whether an adaptation is going on; to be asked while the session is locked. */
bool tt_zephyr_learns(void);

/*
 * What the model makes of a sample of the application's own, by what has been learned: tt_predict on that session, also
 * while it learns. x, scores: as of tt_predict. TT_ERROR_NOT_INITIALISED where tt_zephyr_lock returns NULL.
 */
tt_status_t tt_zephyr_predict(const float *x, float *scores, k_timeout_t timeout);
#endif

#ifdef CONFIG_TINYTRAIN_PULSES
/* Called between two kernels of whatever the session does. As it is, it yields; an application that defines it anew feeds
 * its watchdog here. It must not call anything on the session. */
void tt_zephyr_pulse(void);
#endif

#ifdef __cplusplus
}
#endif

#endif /* TT_ZEPHYR_H */
