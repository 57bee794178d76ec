/* SPDX-License-Identifier: Apache-2.0 */
/* The model as a thread that takes commands: see CONFIG_TINYTRAIN_CONSOLE. */
#ifndef TT_ZEPHYR_H
#define TT_ZEPHYR_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Start the thread of the console. It prepares the session, loads what was saved, says so, and takes commands for ever.
 * To be called once.
 * Returns 0, or -ENODEV when the UART is not ready.
 */
int tt_zephyr_console_start(void);

#ifdef __cplusplus
}
#endif

#endif /* TT_ZEPHYR_H */
