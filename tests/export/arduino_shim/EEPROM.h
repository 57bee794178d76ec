/* SPDX-License-Identifier: Apache-2.0 */
/* The EEPROM library over the file that TT_SHIM_EEPROM names: 8 KiB, as the data flash of Renesas' RA. */
#ifndef ARDUINO_SHIM_EEPROM_H
#define ARDUINO_SHIM_EEPROM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct EEPROMClass {
    uint16_t length() {
        return 8192;
    }

    uint8_t read(int index) {
        FILE *file = open("rb");
        int byte = EOF;
        if (file != nullptr) {
            fseek(file, index, SEEK_SET);
            byte = fgetc(file);
            fclose(file);
        }
        return static_cast<uint8_t>(byte == EOF ? 0xFF : byte);
    }

    void update(int index, uint8_t value) {
        if (index < 0 || index >= length()) {
            fprintf(stderr, "EEPROM: index %d\n", index);
            abort();
        }
        FILE *file = open("r+b");
        if (file == nullptr) {
            file = open("w+b");
        }
        if (file != nullptr) {
            fseek(file, index, SEEK_SET);
            fputc(value, file);
            fclose(file);
        }
    }

  private:
    static FILE *open(const char *mode) {
        const char *path = getenv("TT_SHIM_EEPROM");
        return path == nullptr ? nullptr : fopen(path, mode);
    }
};

static EEPROMClass EEPROM;

#endif /* ARDUINO_SHIM_EEPROM_H */
