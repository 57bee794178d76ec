/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console on the CMSDK APB UART of an emulated board, polled. The storage is the file "storage.bin" of the host; the
 * most of the stack that the console has taken goes to "stack_bytes.bin".
 */
#include <stdint.h>

#include "tt_sim_console.h"
#include "tt_sim_paint.h"
#include "tt_sim_semihost.h"

#define REGISTER(offset) (*(volatile uint32_t *)(uintptr_t)(TT_SIM_UART + (offset)))
#define DATA REGISTER(0x0u)
#define STATE REGISTER(0x4u)
#define CONTROL REGISTER(0x8u)
#define BAUD_DIVISOR REGISTER(0x10u)
#define TRANSMITTER_FULL 1u
#define RECEIVER_FULL 2u
#define BOTH_ENABLED 3u
#define LEAST_DIVISOR 16u

static const char STORAGE_FILE[] = "storage.bin";
static const char STACK_FILE[] = "stack_bytes.bin";

static void send(void *context, const char *text, size_t count) {
    (void)context;
    for (size_t i = 0; i < count; ++i) {
        while ((STATE & TRANSMITTER_FULL) != 0u) {
        }
        DATA = (uint8_t)text[i];
    }
}

static bool write_file(const char *name, const void *bytes, uint32_t count) {
    const int32_t file = tt_sim_open(name, TT_SIM_OPEN_WRITE);
    if (file < 0) {
        return false;
    }
    const bool written = tt_sim_write(file, bytes, count);
    return tt_sim_close(file) && written;
}

static bool keep(const uint8_t *storage) {
    return write_file(STORAGE_FILE, storage, TT_SIM_CONSOLE_STORAGE_BYTES);
}

int main(void) {
    static uint8_t kept[TT_SIM_CONSOLE_STORAGE_BYTES];
    const int32_t file = tt_sim_open(STORAGE_FILE, TT_SIM_OPEN_READ);
    const bool read = file >= 0 && tt_sim_read(file, kept, sizeof kept) && tt_sim_close(file);
    tt_console_t *console = tt_sim_console_start(send, read ? kept : NULL, keep);
    if (console == NULL) {
        tt_sim_print("the console cannot start\n");
        return 1;
    }
    BAUD_DIVISOR = LEAST_DIVISOR;
    CONTROL = BOTH_ENABLED;
    tt_sim_paint_stack();
    uint32_t most = 0u;
    for (bool learnt = false;;) {
        const bool learns = tt_console_poll(console);
        uint8_t byte = 0u;
        while ((STATE & RECEIVER_FULL) != 0u) {
            byte = (uint8_t)DATA;
            tt_console_feed(console, &byte, 1u);
        }
        if (byte == '\n' || (learnt && !learns)) {
            const uint32_t used = tt_sim_painted_over();
            if (used > most) {
                most = used;
                (void)write_file(STACK_FILE, &most, sizeof most);
            }
        }
        learnt = learns;
    }
}
