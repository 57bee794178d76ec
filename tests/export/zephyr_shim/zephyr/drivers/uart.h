/* SPDX-License-Identifier: Apache-2.0 */
/* A UART whose line is standard input and output. */
#ifndef ZEPHYR_DRIVERS_UART_H
#define ZEPHYR_DRIVERS_UART_H

#include <stdint.h>

#include <zephyr/device.h>

typedef void (*uart_irq_callback_user_data_t)(const struct device *device, void *context);

void uart_irq_rx_disable(const struct device *device);
void uart_irq_rx_enable(const struct device *device);
int uart_irq_callback_user_data_set(const struct device *device, uart_irq_callback_user_data_t callback, void *context);
int uart_irq_update(const struct device *device);
int uart_irq_rx_ready(const struct device *device);
int uart_fifo_read(const struct device *device, uint8_t *bytes, int count);
int uart_poll_in(const struct device *device, unsigned char *byte);
void uart_poll_out(const struct device *device, unsigned char byte);

#endif /* ZEPHYR_DRIVERS_UART_H */
