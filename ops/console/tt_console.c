/* SPDX-License-Identifier: Apache-2.0 */
/* Lines in, answers out: framing, checksums, and what is not performed twice. */
#include "tt_console.h"

#include <string.h>

#include "tt_console_parts.h"
#include "tt_console_text.h"
#include "tt_crc32.h"

#define CRC_CHARACTERS 9u /* the '*' included */
#define ALIGNED(pointer, bytes) (((uintptr_t)(pointer) & ((bytes)-1u)) == 0u)

/* ---- out ---- */

static void send_held_back(tt_console_t *console) {
    if (console->out_used > 0u) {
        console->config.write(console->config.write_context, console->out, console->out_used);
        console->out_used = 0u;
    }
}

static void put_raw(tt_console_t *console, const char *text, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (console->out_used == TT_CONSOLE_OUT_BYTES) {
            send_held_back(console);
        }
        console->out[console->out_used++] = text[i];
    }
}

static void put_counted(tt_console_t *console, const char *text, size_t count) {
    console->out_crc = tt_crc32(console->out_crc, text, count);
    put_raw(console, text, count);
}

void tt_console_put(tt_console_t *console, const char *text) {
    put_counted(console, text, strlen(text));
}

void tt_console_put_number(tt_console_t *console, uint32_t value) {
    char number[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_decimal(number, value);
    tt_console_put(console, number);
}

void tt_console_put_bytes(tt_console_t *console, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0; i < count; i += 3u) {
        char characters[4];
        tt_console_to_base64(bytes + i, count - i < 3u ? count - i : 3u, characters);
        put_counted(console, characters, sizeof characters);
    }
}

void tt_console_end_line(tt_console_t *console) {
    put_raw(console, "\r\n", 2u);
    send_held_back(console);
    console->out_crc = 0u;
}

static void add_text(tt_console_t *console, const char *text) {
    const size_t used = strlen(console->fields);
    const size_t count = strlen(text);
    if (used + count < TT_CONSOLE_FIELDS_BYTES) {
        memcpy(console->fields + used, text, count + 1u);
    }
}

void tt_console_add_field(tt_console_t *console, const char *name, uint32_t value) {
    char number[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_decimal(number, value);
    add_text(console, " ");
    add_text(console, name);
    add_text(console, "=");
    add_text(console, number);
}

void tt_console_add_loss(tt_console_t *console, float loss) {
    char number[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_hexadecimal(number, tt_console_bits(loss));
    add_text(console, " loss=");
    add_text(console, number);
}

static const char *text_of(uint32_t code) {
    switch (code) {
    case TT_CONSOLE_TOO_LONG:
        return "the line is too long";
    case TT_CONSOLE_BAD_CHECKSUM:
        return "the checksum is not that of the line";
    case TT_CONSOLE_NO_CHECKSUM:
        return "a checksum is required here";
    case TT_CONSOLE_UNREADABLE:
        return "the line is not readable";
    case TT_CONSOLE_UNKNOWN:
        return "no such command, see help";
    case TT_CONSOLE_BAD_ARGUMENT:
        return "an argument is missing, too much or out of range";
    case TT_CONSOLE_NO_SAMPLE:
        return "no complete sample has been given";
    case TT_CONSOLE_OUT_OF_ORDER:
        return "data before this are missing";
    case TT_CONSOLE_FULL:
        return "there is no room for more samples";
    case TT_CONSOLE_OTHER_FORMAT:
        return "samples of another format are kept here";
    case TT_CONSOLE_UNSUPPORTED:
        return "this build cannot do it";
    case TT_CONSOLE_NO_STORAGE:
        return "there is no storage";
    case TT_CONSOLE_STOPPED:
        return "it was cancelled";
    case TT_CONSOLE_BUSY:
        return "the board is learning: wait, or cancel";
    default:
        return tt_status_text((tt_status_t)code);
    }
}

static void answer(tt_console_t *console, void (*more)(tt_console_t *console)) {
    char crc[TT_CONSOLE_NUMBER_CHARACTERS];
    console->out_crc = 0u;
    if (console->code == TT_OK) {
        tt_console_put(console, "!ok");
    } else {
        tt_console_put(console, "!error ");
        tt_console_put_number(console, console->code);
    }
    if (console->has_sequence) {
        tt_console_put(console, " #");
        tt_console_put_number(console, console->sequence);
    }
    if (console->code != TT_OK) {
        tt_console_put(console, " ");
        tt_console_put(console, text_of(console->code));
    } else {
        tt_console_put(console, console->fields);
        if (more != NULL) {
            more(console);
        }
    }
    (void)tt_console_put_hexadecimal(crc, console->out_crc);
    put_raw(console, "*", 1u);
    put_raw(console, crc, CRC_CHARACTERS - 1u);
    tt_console_end_line(console);
}

static void refuse(tt_console_t *console, uint32_t code) {
    console->code = code;
    answer(console, NULL);
}

static void remember(tt_console_t *console, uint32_t crc) {
    console->answered = console->has_sequence;
    console->last_sequence = console->sequence;
    console->last_crc = crc;
    console->last_code = console->code;
}

void tt_console_end_adapt(tt_console_t *console, uint32_t code) {
    const tt_console_job_t *job = &console->job;
    console->fields[0] = '\0';
    console->code = code;
    if (code == TT_OK) {
        tt_console_add_field(console, "iterations", job->iterations);
        tt_console_add_loss(console, job->iterations > 0u ? console->config.losses[job->iterations - 1u] : 0.0f);
    }
    console->has_sequence = job->has_sequence;
    console->sequence = job->sequence;
    remember(console, job->crc);
    answer(console, NULL);
}

/* ---- in ---- */

static bool printable(const char *line, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (line[i] < ' ' || line[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Cuts the line at its spaces. Words beyond the last place are counted, so that they are refused. */
static tt_console_request_t words_of(char *line) {
    tt_console_request_t request;
    request.count = 0u;
    while (*line != '\0') {
        if (*line == ' ') {
            *line++ = '\0';
            continue;
        }
        if (request.count < TT_CONSOLE_MAX_WORDS) {
            request.words[request.count] = line;
        }
        ++request.count;
        while (*line != ' ' && *line != '\0') {
            ++line;
        }
    }
    return request;
}

/* Whether a request is that of the adapt that is going on, sent again. */
static bool is_job(const tt_console_t *console, uint32_t crc) {
    const tt_console_job_t *job = &console->job;
    return console->has_sequence && job->has_sequence && console->sequence == job->sequence && crc == job->crc;
}

static void perform(tt_console_t *console, const tt_console_request_t *request, bool has_crc, uint32_t crc) {
    const tt_console_command_t *command = tt_console_find(request->words[0]);
    if (command == NULL) {
        refuse(console, TT_CONSOLE_UNKNOWN);
        return;
    }
    if (!has_crc && command->needs_crc) {
        refuse(console, TT_CONSOLE_NO_CHECKSUM);
        return;
    }
    const bool learns = tt_console_learns(console);
    if (learns && is_job(console, crc)) {
        return; /* it is answered when it is done */
    }
    const bool again = console->has_sequence && console->answered && console->sequence == console->last_sequence &&
                       crc == console->last_crc;
    if (again && command->answer == NULL) {
        console->code = console->last_code; /* refused lines may have come between */
    } else {
        console->fields[0] = '\0';
        console->code = request->count > TT_CONSOLE_MAX_WORDS ? (uint32_t)TT_CONSOLE_BAD_ARGUMENT
                        : learns && !command->while_learning  ? (uint32_t)TT_CONSOLE_BUSY
                                                              : command->perform(console, request);
    }
    if (!learns && tt_console_learns(console)) {
        console->job.has_sequence = console->has_sequence;
        console->job.sequence = console->sequence;
        console->job.crc = crc;
        return;
    }
    remember(console, crc);
    answer(console, command->answer);
}

/* A whole line, without its end: [count], and room for a NUL. */
static void take_line(tt_console_t *console, char *line, size_t count) {
    uint32_t crc = 0u;
    bool has_crc = false;
    if (!printable(line, count)) {
        refuse(console, TT_CONSOLE_UNREADABLE);
        return;
    }
    line[count] = '\0';
    const char *star = strrchr(line, '*');
    if (star != NULL) {
        const size_t covered = (size_t)(star - line);
        crc = tt_crc32(0u, line, covered);
        uint32_t given;
        if (count - covered != CRC_CHARACTERS || !tt_console_hexadecimal(star + 1, &given) || given != crc) {
            refuse(console, TT_CONSOLE_BAD_CHECKSUM);
            return;
        }
        line[covered] = '\0';
        has_crc = true;
    }
    tt_console_request_t request = words_of(line);
    if (request.count > 0u && request.words[0][0] == '#') {
        if (!has_crc) {
            refuse(console, TT_CONSOLE_NO_CHECKSUM);
            return;
        }
        if (!tt_console_decimal(request.words[0] + 1, &console->sequence)) {
            refuse(console, TT_CONSOLE_UNREADABLE);
            return;
        }
        console->has_sequence = true;
        for (uint32_t i = 1; i < request.count && i < TT_CONSOLE_MAX_WORDS; ++i) {
            request.words[i - 1u] = request.words[i];
        }
        --request.count;
    }
    if (request.count == 0u) {
        refuse(console, TT_CONSOLE_UNKNOWN);
        return;
    }
    perform(console, &request, has_crc, crc);
}

static void end_of_line(tt_console_t *console) {
    const size_t count = console->line_used;
    const bool overflowed = console->overflowed;
    console->line_used = 0u;
    console->overflowed = false;
    console->has_sequence = false;
    if (overflowed) {
        refuse(console, TT_CONSOLE_TOO_LONG);
    } else if (count > 0u) {
        take_line(console, console->config.line, count);
    }
}

void tt_console_feed(tt_console_t *console, const void *bytes, size_t count) {
    const char *received = bytes;
    for (size_t i = 0; i < count; ++i) {
        if (received[i] == '\n' || received[i] == '\r') {
            end_of_line(console);
        } else if (console->line_used + 1u < console->config.line_bytes) {
            console->config.line[console->line_used++] = received[i];
        } else {
            console->overflowed = true;
        }
    }
}

uint32_t tt_console_samples(const tt_console_t *console) {
    return console->kept;
}

/* ---- start ---- */

static size_t sample_bytes(const tt_console_config_t *config) {
    const size_t elements = config->session->model->input_elements;
    return config->format == TT_CONSOLE_UINT8 ? TT_CONSOLE_UINT8_BYTES(elements) : TT_CONSOLE_FLOAT32_BYTES(elements);
}

bool tt_console_adaptable(const tt_session_t *session) {
    return tt_adapt_workspace_bytes(session, 1u) > 0u;
}

size_t tt_console_workspace_bytes(const tt_session_t *session, uint32_t capacity) {
    return tt_console_adaptable(session) ? tt_adapt_workspace_bytes(session, capacity) : tt_enrolment_bytes(session);
}

static tt_status_t check(const tt_console_config_t *config) {
    if (config->session == NULL || config->line == NULL || config->scores == NULL || config->samples == NULL ||
        config->labels == NULL || config->losses == NULL || config->write == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (tt_state_bytes(config->session) == 0u) {
        return TT_ERROR_NOT_INITIALISED;
    }
    if (config->format != TT_CONSOLE_UINT8 && config->format != TT_CONSOLE_FLOAT32) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    if (config->format == TT_CONSOLE_UINT8 && config->input == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (!ALIGNED(config->input, 8u) || !ALIGNED(config->samples, 8u)) {
        return TT_ERROR_MISALIGNED;
    }
    if (config->line_bytes < TT_CONSOLE_MIN_LINE_BYTES || config->capacity == 0u || config->iterations == 0u ||
        config->samples_bytes / sample_bytes(config) <= config->capacity) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    const size_t workspace_bytes = tt_console_workspace_bytes(config->session, config->capacity);
    if (workspace_bytes == 0u) {
        return TT_OK;
    }
    if (config->workspace == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (!ALIGNED(config->workspace, 16u)) {
        return TT_ERROR_MISALIGNED;
    }
    return config->workspace_bytes < workspace_bytes ? TT_ERROR_INVALID_ARGUMENT : TT_OK;
}

tt_status_t tt_console_init(tt_console_t *console, const tt_console_config_t *config) {
    if (console == NULL || config == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    memset(console, 0, sizeof *console);
    console->config = *config;
    return check(config);
}
