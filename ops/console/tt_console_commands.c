/* SPDX-License-Identifier: Apache-2.0 */
/* What each command does; those on samples are in tt_console_samples.c. */
#include <stdbool.h>
#include <string.h>

#include "tt_console_parts.h"
#include "tt_console_text.h"
#include "tt_state.h"

/* Of a line with data: "#4294967295 data 4294967295 " before them, the checksum and a NUL after them. */
#define DATA_OVERHEAD 38u

static uint32_t data_bytes(const tt_console_t *console) {
    return (uint32_t)((console->config.line_bytes - DATA_OVERHEAD) / 4u * 3u);
}

bool tt_console_bare(const tt_console_request_t *request) {
    return request->count == 1u;
}

/* ---- help, status ---- */

static uint32_t help(tt_console_t *console, const tt_console_request_t *request) {
    static const char *const LINES[] = {
        "status                       what this board is and holds",
        "begin uint8|float32          a new sample, which follows by data",
        "data OFFSET BASE64*CRC32     bytes of the sample",
        "enroll LABEL                 keep the sample, of this class",
        "predict                      the class of the sample",
        "train LABEL                  one step with the sample",
        "adapt ITERATIONS [SEED] [flip] [constant]",
        "                             learn from the kept samples",
        "cancel                       end an adapt that is going on",
        "losses FIRST                 of the last adapt",
        "forget                       the kept samples and the prototypes",
        "save, load, dump OFFSET      keep what was learned, take it up again, send it",
        "reset                        forget everything but what was saved",
    };
    (void)request;
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; ++i) {
        tt_console_put(console, LINES[i]);
        tt_console_end_line(console);
    }
    return TT_OK;
}

static void put_field(tt_console_t *console, const char *name, uint32_t value) {
    tt_console_put(console, name);
    tt_console_put_number(console, value);
}

static void put_text(tt_console_t *console, const char *name, const char *text) {
    tt_console_put(console, name);
    tt_console_put(console, text);
}

static void put_fingerprint(tt_console_t *console) {
    char digits[TT_CONSOLE_NUMBER_CHARACTERS];
    tt_console_put(console, " fingerprint=");
    for (uint32_t i = 0; i < TT_FINGERPRINT_BYTES; ++i) {
        (void)tt_console_put_hexadecimal(digits, console->config.session->model->fingerprint[i]);
        tt_console_put(console, digits + 6); /* of eight */
    }
}

static void put_bits(tt_console_t *console, const char *name, float value) {
    char bits[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_hexadecimal(bits, tt_console_bits(value));
    tt_console_put(console, name);
    tt_console_put(console, bits);
}

static void answer_nothing(tt_console_t *console) {
    (void)console;
}

static uint32_t status(tt_console_t *console, const tt_console_request_t *request) {
    (void)console;
    return tt_console_bare(request) ? (uint32_t)TT_OK : (uint32_t)TT_CONSOLE_BAD_ARGUMENT;
}

static void answer_status(tt_console_t *console) {
    const tt_storage_t *storage = console->config.storage;
    const tt_model_t *model = console->config.session->model;
    uint32_t done;
    uint32_t total;
    put_field(console, " protocol=", TT_CONSOLE_PROTOCOL);
    put_fingerprint(console);
    put_text(console, " shape=", model->input_shape);
    put_text(console, " format=", tt_console_formats[console->config.format]);
    put_bits(console, " scale=", model->input_scale);
    put_bits(console, " shift=", model->input_shift);
    put_field(console, " classes=", model->classes);
    put_text(console, " loss=", model->loss->name);
    put_text(console, " mode=", model->choice != NULL ? "dynamic" : "static");
    put_field(console, " adaptable=", tt_console_adaptable(console->config.session) ? 1u : 0u);
    put_field(console, " capacity=", console->config.capacity);
    put_field(console, " samples=", console->kept);
    put_field(console, " iterations=", console->config.iterations);
    put_field(console, " losses=", console->losses);
    put_field(console, " chunk=", data_bytes(console));
    put_field(console, " state=", (uint32_t)tt_state_bytes(console->config.session));
    put_field(console, " storage=", storage == NULL ? 0u : storage->size(storage->context));
    put_text(console, " stage=", tt_console_progress(console, &done, &total));
    put_field(console, " done=", done);
    put_field(console, " total=", total);
}

/* ---- predict, train, adapt ---- */

static uint32_t predict(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (!tt_console_complete(console)) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    return (uint32_t)tt_predict(console->config.session, tt_console_new_input(console), console->config.scores);
}

static void answer_predict(tt_console_t *console) {
    const float *scores = console->config.scores;
    const uint32_t classes = console->config.session->model->classes;
    uint32_t best = 0u;
    for (uint32_t i = 1; i < classes; ++i) {
        best = scores[i] > scores[best] ? i : best;
    }
    put_field(console, " class=", best);
    tt_console_put(console, " scores=");
    tt_console_put_bytes(console, (const uint8_t *)(const void *)scores, classes * (uint32_t)sizeof(float));
}

static uint32_t train(tt_console_t *console, const tt_console_request_t *request) {
    uint32_t label;
    float loss = 0.0f;
    uint32_t code = tt_console_label(console, request, &label);
    if (code != TT_OK) {
        return code;
    }
    if (!tt_console_complete(console)) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    code = (uint32_t)tt_train_step(console->config.session, tt_console_new_input(console), label, &loss);
    if (code == TT_OK) {
        tt_console_add_loss(console, loss);
    }
    return code;
}

static uint32_t adapt(tt_console_t *console, const tt_console_request_t *request) {
    uint32_t iterations;
    uint32_t seed = 0u;
    uint32_t word = 2u;
    bool flip = false;
    bool constant = false;
    if (request->count < 2u || !tt_console_decimal(request->words[1], &iterations) ||
        iterations > console->config.iterations) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (word < request->count && tt_console_decimal(request->words[word], &seed)) {
        ++word;
    }
    if (word < request->count && strcmp(request->words[word], "flip") == 0) {
        flip = true;
        ++word;
    }
    if (word < request->count && strcmp(request->words[word], "constant") == 0) {
        constant = true;
        ++word;
    }
    if (word < request->count) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (!tt_console_adaptable(console->config.session) && (flip || constant)) {
        return TT_CONSOLE_UNSUPPORTED;
    }
    if (console->kept == 0u) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    if (console->config.format == TT_CONSOLE_UINT8 && console->format == TT_CONSOLE_FLOAT32) {
        tt_console_drop_sample(console); /* it lies where the kept ones are going to be scaled */
    }
    console->losses = 0u;
    return tt_console_begin_adapt(console, iterations, seed, flip, constant);
}

static uint32_t cancel(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    tt_console_cancel(console);
    return TT_OK;
}

/* ---- what is sent in pieces ---- */

/* The place and size of a piece: of `total` units of `unit` bytes, from the given one on, as many as the line holds. */
static uint32_t piece_of(tt_console_t *console, const tt_console_request_t *request, uint32_t total, uint32_t unit) {
    uint32_t first;
    const uint32_t most = data_bytes(console) / unit;
    if (request->count != 2u || !tt_console_decimal(request->words[1], &first) || first > total) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    console->total = total;
    console->offset = first;
    console->piece = (total - first < most ? total - first : most) * unit;
    return TT_OK;
}

static void answer_piece(tt_console_t *console, const char *name, const uint8_t *bytes) {
    put_field(console, " total=", console->total);
    put_field(console, name, console->offset);
    tt_console_put(console, " data=");
    tt_console_put_bytes(console, bytes, console->piece);
}

static uint32_t losses(tt_console_t *console, const tt_console_request_t *request) {
    return piece_of(console, request, console->losses, (uint32_t)sizeof(float));
}

static void answer_losses(tt_console_t *console) {
    answer_piece(console, " first=", (const uint8_t *)(const void *)(console->config.losses + console->offset));
}

static uint32_t dump(tt_console_t *console, const tt_console_request_t *request) {
    const tt_storage_t *storage = console->config.storage;
    tt_state_slot_t slot;
    if (storage == NULL) {
        return TT_CONSOLE_NO_STORAGE;
    }
    const tt_status_t found = tt_state_newest(storage, &slot);
    if (found != TT_OK) {
        return found;
    }
    const uint32_t code = piece_of(console, request, slot.header.bytes, 1u);
    if (code != TT_OK || console->piece == 0u) {
        return code;
    }
    /* The request has been read by now: its buffer is free. */
    const bool read =
        storage->read(storage->context, slot.offset + console->offset, console->config.line, console->piece);
    return read ? (uint32_t)TT_OK : (uint32_t)TT_ERROR_STORAGE;
}

static void answer_dump(tt_console_t *console) {
    answer_piece(console, " offset=", (const uint8_t *)(const void *)console->config.line);
}

/* ---- save, load, reset ---- */

static uint32_t save(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (console->config.storage == NULL) {
        return TT_CONSOLE_NO_STORAGE;
    }
    tt_console_add_field(console, "bytes", (uint32_t)tt_state_bytes(console->config.session));
    return tt_save(console->config.session, console->config.storage);
}

static uint32_t load(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (console->config.storage == NULL) {
        return TT_CONSOLE_NO_STORAGE;
    }
    const tt_status_t loaded = tt_load(console->config.session, console->config.storage);
    tt_console_add_field(console, "bytes", (uint32_t)tt_state_bytes(console->config.session));
    return loaded;
}

static uint32_t reset(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    const tt_status_t done = tt_reset(console->config.session);
    if (done == TT_OK) {
        console->kept = 0u;
        console->losses = 0u;
        tt_console_drop_sample(console);
    }
    return done;
}

const tt_console_command_t *tt_console_find(const char *name) {
    static const tt_console_command_t COMMANDS[] = {
        {"help", help, answer_nothing, false, true},
        {"status", status, answer_status, false, true},
        {"begin", tt_console_begin, NULL, false, true},
        {"data", tt_console_data, NULL, true, true},
        {"enroll", tt_console_enroll, NULL, false, false},
        {"predict", predict, answer_predict, false, true},
        {"train", train, NULL, false, false},
        {"adapt", adapt, NULL, false, false},
        {"cancel", cancel, NULL, false, true},
        {"losses", losses, answer_losses, false, false},
        {"forget", tt_console_forget, NULL, false, false},
        {"save", save, NULL, false, false},
        {"load", load, NULL, false, false},
        {"dump", dump, answer_dump, false, false},
        {"reset", reset, NULL, false, false},
    };
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; ++i) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}
