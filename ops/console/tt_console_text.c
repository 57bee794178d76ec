/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_console_text.h"

#include <math.h>
#include <string.h>

#define NO_DIGIT 64u
#define LARGEST_SHOWN 99999.0f
#define DECIMALS 10000u

static const char DIGITS[] = "0123456789abcdef";
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool tt_console_decimal(const char *text, uint32_t *value) {
    uint32_t result = 0u;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; ++text) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        const uint32_t digit = (uint32_t)(*text - '0');
        if (result > (UINT32_MAX - digit) / 10u) {
            return false;
        }
        result = result * 10u + digit;
    }
    *value = result;
    return true;
}

bool tt_console_hexadecimal(const char *text, uint32_t *value) {
    uint32_t result = 0u;
    for (uint32_t i = 0; i < 8u; ++i) {
        const char character = text[i];
        uint32_t digit;
        if (character >= '0' && character <= '9') {
            digit = (uint32_t)(character - '0');
        } else if (character >= 'a' && character <= 'f') {
            digit = (uint32_t)(character - 'a') + 10u;
        } else if (character >= 'A' && character <= 'F') {
            digit = (uint32_t)(character - 'A') + 10u;
        } else {
            return false;
        }
        result = result << 4 | digit;
    }
    *value = result;
    return true;
}

size_t tt_console_put_decimal(char *out, uint32_t value) {
    char reversed[TT_CONSOLE_NUMBER_CHARACTERS];
    size_t count = 0u;
    do {
        reversed[count++] = DIGITS[value % 10u];
        value /= 10u;
    } while (value > 0u);
    for (size_t i = 0; i < count; ++i) {
        out[i] = reversed[count - 1u - i];
    }
    out[count] = '\0';
    return count;
}

size_t tt_console_put_hexadecimal(char *out, uint32_t value) {
    for (uint32_t i = 0; i < 8u; ++i) {
        out[i] = DIGITS[(value >> (28u - 4u * i)) & 0xfu];
    }
    out[8] = '\0';
    return 8u;
}

size_t tt_console_put_fixed(char *out, float value) {
    size_t count = 0u;
    if (!isfinite(value)) {
        memcpy(out, "nan", 4u);
        return 3u;
    }
    if (value < 0.0f) {
        out[count++] = '-';
        value = -value;
    }
    const float shown = value < LARGEST_SHOWN ? value : LARGEST_SHOWN;
    const uint32_t scaled = (uint32_t)(shown * (float)DECIMALS + 0.5f);
    count += tt_console_put_decimal(out + count, scaled / DECIMALS);
    out[count++] = '.';
    for (uint32_t place = DECIMALS / 10u; place > 0u; place /= 10u) {
        out[count++] = DIGITS[scaled / place % 10u];
    }
    out[count] = '\0';
    return count;
}

uint32_t tt_console_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint32_t sextet(char character) {
    if (character >= 'A' && character <= 'Z') {
        return (uint32_t)(character - 'A');
    }
    if (character >= 'a' && character <= 'z') {
        return (uint32_t)(character - 'a') + 26u;
    }
    if (character >= '0' && character <= '9') {
        return (uint32_t)(character - '0') + 52u;
    }
    return character == '+' ? 62u : character == '/' ? 63u : NO_DIGIT;
}

bool tt_console_base64_size(const char *text, size_t characters, uint32_t *bytes) {
    uint32_t padding = 0u;
    if (characters % 4u != 0u || characters > UINT32_MAX) {
        return false;
    }
    if (characters > 0u && text[characters - 1u] == '=') {
        padding = text[characters - 2u] == '=' ? 2u : 1u;
    }
    for (size_t i = 0; i < characters - padding; ++i) {
        if (sextet(text[i]) == NO_DIGIT) {
            return false;
        }
    }
    /* What of the last digit no byte owns has to be zero, so that bytes have one text only. */
    if (padding > 0u && (sextet(text[characters - padding - 1u]) & ((1u << (2u * padding)) - 1u)) != 0u) {
        return false;
    }
    *bytes = (uint32_t)(characters / 4u * 3u) - padding;
    return true;
}

void tt_console_from_base64(const char *text, size_t characters, uint8_t *out) {
    for (size_t i = 0; i < characters; i += 4u) {
        const bool third = text[i + 3u] != '=';
        const bool second = text[i + 2u] != '=';
        const uint32_t word = sextet(text[i]) << 18 | sextet(text[i + 1u]) << 12 |
                              (second ? sextet(text[i + 2u]) << 6 : 0u) | (third ? sextet(text[i + 3u]) : 0u);
        *out++ = (uint8_t)(word >> 16);
        if (second) {
            *out++ = (uint8_t)(word >> 8 & 0xffu);
        }
        if (third) {
            *out++ = (uint8_t)(word & 0xffu);
        }
    }
}

void tt_console_to_base64(const uint8_t *bytes, uint32_t count, char *out) {
    const uint32_t word =
        (uint32_t)bytes[0] << 16 | (count > 1u ? (uint32_t)bytes[1] << 8 : 0u) | (count > 2u ? (uint32_t)bytes[2] : 0u);
    out[0] = BASE64[word >> 18];
    out[1] = BASE64[word >> 12 & 63u];
    out[2] = count > 1u ? BASE64[word >> 6 & 63u] : '=';
    out[3] = count > 2u ? BASE64[word & 63u] : '=';
}
