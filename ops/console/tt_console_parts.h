/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of the console share; not for applications. */
#ifndef TT_CONSOLE_PARTS_H
#define TT_CONSOLE_PARTS_H

#include "tt_console.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_CONSOLE_MAX_WORDS 6u

/* A request, in words: [0] is the command. They lie in the line buffer, each NUL-terminated. */
typedef struct {
    const char *words[TT_CONSOLE_MAX_WORDS];
    uint32_t count;
} tt_console_request_t;

/*
 * A command: performs the request, fills in console->fields and returns a code.
 * answer: writes what does not fit fields; such commands change nothing and may be performed twice. NULL without.
 */
typedef struct {
    const char *name;
    uint32_t (*perform)(tt_console_t *console, const tt_console_request_t *request);
    void (*answer)(tt_console_t *console);
    bool needs_crc;
    bool while_learning; /* answered while an adapt is going on */
} tt_console_command_t;

/* NULL where there is none of this name. */
const tt_console_command_t *tt_console_find(const char *name);

/* Text to the line, part of an answer. text: NUL-terminated. */
void tt_console_put(tt_console_t *console, const char *text);
void tt_console_put_number(tt_console_t *console, uint32_t value);

/* Bytes as base64. bytes: [count]. */
void tt_console_put_bytes(tt_console_t *console, const uint8_t *bytes, uint32_t count);

/* Ends a line for people, and sends what is held back. */
void tt_console_end_line(tt_console_t *console);

/* console->fields: " name=value", once or twice. */
void tt_console_add_field(tt_console_t *console, const char *name, uint32_t value);
void tt_console_add_loss(tt_console_t *console, float loss);

/* Names of tt_console_format_t. */
extern const char *const tt_console_formats[];

/* Whether a request is its command alone. */
bool tt_console_bare(const tt_console_request_t *request);

/* The argument of a command with a label alone. label: out. Returns a code. */
uint32_t tt_console_label(const tt_console_t *console, const tt_console_request_t *request, uint32_t *label);

/* Whether the new sample has come in whole, and that sample as the model takes it. */
bool tt_console_complete(const tt_console_t *console);
const float *tt_console_new_input(tt_console_t *console);

void tt_console_drop_sample(tt_console_t *console);

/* The commands on samples. */
uint32_t tt_console_begin(tt_console_t *console, const tt_console_request_t *request);
uint32_t tt_console_data(tt_console_t *console, const tt_console_request_t *request);
uint32_t tt_console_enroll(tt_console_t *console, const tt_console_request_t *request);
uint32_t tt_console_forget(tt_console_t *console, const tt_console_request_t *request);

/* Kept sample index, or the new one for index kept: as the model takes it. */
const float *tt_console_sample(tt_console_t *console, uint32_t index);

/* Whether the session's model adapts by itself. */
bool tt_console_adaptable(const tt_session_t *session);

/* Begin an adapt. flip, constant: see tt_console.h. Returns a code; with TT_OK tt_console_end_adapt is called later. */
uint32_t tt_console_begin_adapt(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant);

/* Whether one is going on. */
bool tt_console_learns(const tt_console_t *console);

/* It has ended with this code: answer its request. */
void tt_console_end_adapt(tt_console_t *console, uint32_t code);

#ifdef __cplusplus
}
#endif

#endif /* TT_CONSOLE_PARTS_H */
