/* SPDX-License-Identifier: Apache-2.0 */
/* The UART of the console: bytes in by interrupt, or by polling where the driver has none; bytes out at once. */
#ifndef TT_ZEPHYR_UART_H
#define TT_ZEPHYR_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns 0, or -ENODEV when the UART is not ready. */
int tt_zephyr_uart_open(void);

/* The next byte; without one, waits for it or returns false. byte: out. */
bool tt_zephyr_uart_read(uint8_t *byte, bool wait);

/* Returns when the driver has taken all of them. */
void tt_zephyr_uart_write(const char *bytes, size_t count);

#endif /* TT_ZEPHYR_UART_H */
