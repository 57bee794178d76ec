/* SPDX-License-Identifier: Apache-2.0 */
/* The console on standard input and output of the host, which may be a pseudo-terminal. The storage is "storage.bin". */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "tt_sim_console.h"

static const char STORAGE_FILE[] = "storage.bin";

static void send(void *context, const char *text, size_t count) {
    (void)context;
    while (count > 0u) {
        const ssize_t sent = write(STDOUT_FILENO, text, count);
        if (sent <= 0) {
            return; /* whoever listened is gone */
        }
        text += sent;
        count -= (size_t)sent;
    }
}

static bool keep(const uint8_t *storage) {
    FILE *file = fopen(STORAGE_FILE, "wb");
    if (file == NULL) {
        return false;
    }
    const bool kept = fwrite(storage, 1u, TT_SIM_CONSOLE_STORAGE_BYTES, file) == TT_SIM_CONSOLE_STORAGE_BYTES;
    return fclose(file) == 0 && kept;
}

/* Whether a byte has come in, or the end of the line. */
static bool anything_new(void) {
    struct pollfd line = {STDIN_FILENO, POLLIN, 0};
    return poll(&line, 1u, 0) != 0;
}

int main(void) {
    static uint8_t kept[TT_SIM_CONSOLE_STORAGE_BYTES];
    bool read_all = false;
    FILE *file = fopen(STORAGE_FILE, "rb");
    if (file != NULL) {
        read_all = fread(kept, 1u, sizeof kept, file) == sizeof kept;
        (void)fclose(file);
    }
    tt_console_t *console = tt_sim_console_start(send, read_all ? kept : NULL, keep);
    if (console == NULL) {
        return 1;
    }
    for (;;) {
        if (tt_console_poll(console) && !anything_new()) {
            continue;
        }
        uint8_t bytes[256];
        const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
        if (count <= 0) {
            while (tt_console_poll(console)) { /* what was asked for is done, whoever has gone */
            }
            return 0;
        }
        tt_console_feed(console, bytes, (size_t)count);
    }
}
