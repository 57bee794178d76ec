/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr_uart.h"

#include <errno.h>

#include "tt_zephyr_compat.h"

#if DT_HAS_CHOSEN(tinytrain_uart)
#define UART_NODE DT_CHOSEN(tinytrain_uart)
#else
#define UART_NODE DT_CHOSEN(zephyr_console)
#endif

static const struct device *const uart = DEVICE_DT_GET(UART_NODE);

#ifdef CONFIG_UART_INTERRUPT_DRIVEN
K_MSGQ_DEFINE(tt_zephyr_received, 1, CONFIG_TINYTRAIN_CONSOLE_RX_BYTES, 1);

/* A byte without room is lost: the checksum of its line will tell. */
static void receive(const struct device *device, void *context) {
    uint8_t byte;

    ARG_UNUSED(context);
    while (uart_irq_update(device) && uart_irq_rx_ready(device)) {
        while (uart_fifo_read(device, &byte, 1) == 1) {
            (void)k_msgq_put(&tt_zephyr_received, &byte, K_NO_WAIT);
        }
    }
}
#endif

int tt_zephyr_uart_open(void) {
    if (!device_is_ready(uart)) {
        return -ENODEV;
    }
#ifdef CONFIG_UART_INTERRUPT_DRIVEN
    uart_irq_rx_disable(uart);
    (void)uart_irq_callback_user_data_set(uart, receive, NULL);
    uart_irq_rx_enable(uart);
    /* A byte that came before may raise no interrupt, and there is no room behind it for the next. */
    uint8_t early;

    while (uart_poll_in(uart, &early) == 0) {
    }
#endif
    return 0;
}

bool tt_zephyr_uart_read(uint8_t *byte, bool wait) {
#ifdef CONFIG_UART_INTERRUPT_DRIVEN
    return k_msgq_get(&tt_zephyr_received, byte, wait ? K_FOREVER : K_NO_WAIT) == 0;
#else
    while (uart_poll_in(uart, byte) != 0) {
        if (!wait) {
            return false;
        }
        k_msleep(1);
    }
    return true;
#endif
}

void tt_zephyr_uart_write(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uart_poll_out(uart, (unsigned char)bytes[i]);
    }
}
