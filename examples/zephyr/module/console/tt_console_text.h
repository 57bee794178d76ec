/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and bytes as text, without the C library's formatting: that would bring kilobytes of code and malloc. */
#ifndef TT_CONSOLE_TEXT_H
#define TT_CONSOLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Room for any text that the functions below make, the terminating NUL included. */
#define TT_CONSOLE_NUMBER_CHARACTERS 16u

/* A decimal number that is the whole text. text: NUL-terminated. value: out, left alone where false is returned. */
bool tt_console_decimal(const char *text, uint32_t *value);

/* Exactly eight hexadecimal digits, of either case, from text on. text: at least 8 characters. */
bool tt_console_hexadecimal(const char *text, uint32_t *value);

/* out: [TT_CONSOLE_NUMBER_CHARACTERS], NUL-terminated. Returns the number of characters. */
size_t tt_console_put_decimal(char *out, uint32_t value);
size_t tt_console_put_hexadecimal(char *out, uint32_t value);

/* Four decimals, for people; above 99999 as that, "nan" where it is not finite. out and result as above. */
size_t tt_console_put_fixed(char *out, float value);

/* The bits of a float. */
uint32_t tt_console_bits(float value);

/* Bytes that base64 stands for; false where it is none: another character, a length that is no multiple of 4, or bits set
 * that no byte owns. bytes: out. */
bool tt_console_base64_size(const char *text, size_t characters, uint32_t *bytes);

/* Base64 that has a size, as bytes. out: [tt_console_base64_size]; may be where text is. */
void tt_console_from_base64(const char *text, size_t characters, uint8_t *out);

/* Up to 3 bytes as 4 characters. out: [4]. */
void tt_console_to_base64(const uint8_t *bytes, uint32_t count, char *out);

#ifdef __cplusplus
}
#endif

#endif /* TT_CONSOLE_TEXT_H */
