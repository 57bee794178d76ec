/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include <zephyr/devicetree.h>
#include <zephyr/drivers/uart.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <zephyr/kernel.h>

const struct device tt_shim_uart = {"uart"};

static uart_irq_callback_user_data_t on_interrupt;
static void *interrupt_context;
static uint8_t received;
static int has_received;
static pthread_t line;

/* Stands for the interrupt. A queue that is full on a real board drops bytes; here the line waits. */
static void *watch_line(void *context) {
    ARG_UNUSED(context);
    while (read(STDIN_FILENO, &received, 1) == 1) {
        has_received = 1;
        on_interrupt(&tt_shim_uart, interrupt_context);
    }
    exit(0);
}

void uart_irq_rx_disable(const struct device *device) {
    ARG_UNUSED(device);
}

void uart_irq_rx_enable(const struct device *device) {
    ARG_UNUSED(device);
    if (pthread_create(&line, NULL, watch_line, NULL) != 0) {
        abort();
    }
}

int uart_irq_callback_user_data_set(const struct device *device, uart_irq_callback_user_data_t callback,
                                    void *context) {
    ARG_UNUSED(device);
    on_interrupt = callback;
    interrupt_context = context;
    return 0;
}

int uart_irq_update(const struct device *device) {
    ARG_UNUSED(device);
    return 1;
}

int uart_irq_rx_ready(const struct device *device) {
    ARG_UNUSED(device);
    return has_received;
}

int uart_fifo_read(const struct device *device, uint8_t *bytes, int count) {
    ARG_UNUSED(device);
    if (has_received == 0 || count < 1) {
        return 0;
    }
    bytes[0] = received;
    has_received = 0;
    return 1;
}

/* Interrupts take every byte. */
int uart_poll_in(const struct device *device, unsigned char *byte) {
    ARG_UNUSED(device);
    ARG_UNUSED(byte);
    return -1;
}

void uart_poll_out(const struct device *device, unsigned char byte) {
    ARG_UNUSED(device);
    if (write(STDOUT_FILENO, &byte, 1) != 1) {
        exit(0);
    }
}
