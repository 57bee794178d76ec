/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mbed's driver of internal flash over the file that TT_SHIM_FLASH names (created full of 0xFF, 1 MiB from address 0):
 * sectors and words of an nRF52840. Breaking the rules of flash ends the program: bits go from 1 to 0 alone until their
 * sector is erased, and addresses and sizes are whole words or sectors.
 */
#ifndef ARDUINO_SHIM_FLASHIAP_H
#define ARDUINO_SHIM_FLASHIAP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FLASHIAP_APP_ROM_END_ADDR 0x40123u

namespace mbed {

class FlashIAP {
  public:
    constexpr FlashIAP() : file_(nullptr) {
    }
    FlashIAP(const FlashIAP &) = delete;
    FlashIAP &operator=(const FlashIAP &) = delete;

    int init() {
        const char *path = getenv("TT_SHIM_FLASH");
        if (path == nullptr || file_ != nullptr) {
            return -1;
        }
        file_ = fopen(path, "r+b");
        if (file_ == nullptr) {
            file_ = fopen(path, "w+b");
            for (uint32_t i = 0; file_ != nullptr && i < kBytes; ++i) {
                fputc(0xFF, file_);
            }
        }
        return file_ == nullptr ? -1 : 0;
    }

    int read(void *buffer, uint32_t address, uint32_t size) {
        check(address + size <= kBytes && address + size >= address, "read outside flash");
        fseek(file_, static_cast<long>(address), SEEK_SET);
        return fread(buffer, 1, size, file_) == size ? 0 : -1;
    }

    int program(const void *buffer, uint32_t address, uint32_t size) {
        const uint8_t *bytes = static_cast<const uint8_t *>(buffer);
        check(address + size <= kBytes && address % kPage == 0 && size % kPage == 0, "program of odd bytes");
        check(address >= FLASHIAP_APP_ROM_END_ADDR, "program over the sketch");
        for (uint32_t i = 0; i < size; ++i) {
            uint8_t old = 0;
            read(&old, address + i, 1);
            check((old & bytes[i]) == bytes[i], "program of what was not erased");
        }
        fseek(file_, static_cast<long>(address), SEEK_SET);
        const bool whole = fwrite(bytes, 1, size, file_) == size;
        return fflush(file_) == 0 && whole ? 0 : -1;
    }

    int erase(uint32_t address, uint32_t size) {
        check(address + size <= kBytes && address % kSector == 0 && size % kSector == 0, "erase of odd bytes");
        check(address >= FLASHIAP_APP_ROM_END_ADDR, "erase of the sketch");
        fseek(file_, static_cast<long>(address), SEEK_SET);
        for (uint32_t i = 0; i < size; ++i) {
            fputc(0xFF, file_);
        }
        return fflush(file_);
    }

    uint32_t get_sector_size(uint32_t) const {
        return kSector;
    }
    uint32_t get_flash_start() const {
        return 0;
    }
    uint32_t get_flash_size() const {
        return kBytes;
    }
    uint32_t get_page_size() const {
        return kPage;
    }

  private:
    static constexpr uint32_t kBytes = 1024u * 1024u;
    static constexpr uint32_t kSector = 4096;
    static constexpr uint32_t kPage = 4;

    static void check(bool kept, const char *broken) {
        if (!kept) {
            fprintf(stderr, "flash: %s\n", broken);
            abort();
        }
    }

    FILE *file_;
};

} // namespace mbed

#endif /* ARDUINO_SHIM_FLASHIAP_H */
