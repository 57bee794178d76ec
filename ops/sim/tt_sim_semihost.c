/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_semihost.h"

#include <string.h>

#define SYS_OPEN 0x01u
#define SYS_CLOSE 0x02u
#define SYS_WRITE0 0x04u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_ERRNO 0x13u
#define SYS_EXIT_EXTENDED 0x20u
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u
#define HOST_EINTR 4u

/* One call moves at most this much: the emulator copies the bytes in a buffer of its own. */
#define LARGEST_TRANSFER 65536u

static uint32_t semihost(uint32_t operation, const void *block) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int32_t tt_sim_open(const char *name, tt_sim_open_mode_t mode) {
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, (uint32_t)mode, (uint32_t)strlen(name)};
    return (int32_t)semihost(SYS_OPEN, block);
}

bool tt_sim_close(int32_t handle) {
    const uint32_t block[1] = {(uint32_t)handle};
    return semihost(SYS_CLOSE, block) == 0u;
}

static bool transfer(uint32_t operation, int32_t handle, uint32_t address, uint32_t count) {
    while (count > 0u) {
        const uint32_t part = count < LARGEST_TRANSFER ? count : LARGEST_TRANSFER;
        const uint32_t block[3] = {(uint32_t)handle, address, part};
        const uint32_t left = semihost(operation, block);
        if (left < part) {
            address += part - left;
            count -= part - left;
        } else if (left == part || semihost(SYS_ERRNO, block) != HOST_EINTR) {
            return false;
        }
    }
    return true;
}

bool tt_sim_read(int32_t handle, void *bytes, uint32_t count) {
    return transfer(SYS_READ, handle, (uint32_t)(uintptr_t)bytes, count);
}

bool tt_sim_write(int32_t handle, const void *bytes, uint32_t count) {
    return transfer(SYS_WRITE, handle, (uint32_t)(uintptr_t)bytes, count);
}

void tt_sim_print(const char *text) {
    (void)semihost(SYS_WRITE0, text);
}

void tt_sim_exit(uint32_t status) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, status};
    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, block);
    }
}
