/* SPDX-License-Identifier: Apache-2.0 */
/* What each command does. */
#include <stdbool.h>
#include <string.h>

#include "tt_console_parts.h"
#include "tt_console_text.h"
#include "tt_finite.h"
#include "tt_state.h"

/* Of a line with data: "#4294967295 data 4294967295 " before them, the checksum and a NUL after them. */
#define DATA_OVERHEAD 38u
#define FLOAT_BYTES 4u

static const char *const FORMATS[] = {"uint8", "float32"};

static uint32_t data_bytes(const tt_console_t *console)
{
    return (uint32_t)((console->config.line_bytes - DATA_OVERHEAD) / 4u * 3u);
}

static bool complete(const tt_console_t *console)
{
    return console->expected > 0u && console->received == console->expected;
}

static uint8_t *kept_sample(const tt_console_t *console, uint32_t index)
{
    const bool pixels = console->config.format == TT_CONSOLE_UINT8;
    return (uint8_t *)console->config.samples + index * (pixels ? TT_CONSOLE_UINT8_BYTES : TT_CONSOLE_FLOAT32_BYTES);
}

/* Where a new sample lies: behind the kept ones; floats that could not be kept go where the model reads. */
static uint8_t *new_sample(const tt_console_t *console)
{
    return console->format == console->config.format ? kept_sample(console, console->kept)
                                                     : (uint8_t *)(void *)console->config.input;
}

static void drop_new_sample(tt_console_t *console)
{
    console->expected = 0u;
    console->received = 0u;
}

const float *tt_console_sample(tt_console_t *console, uint32_t index)
{
    const uint8_t *pixels = kept_sample(console, index);
    float *x = console->config.input;
    if (console->config.format == TT_CONSOLE_FLOAT32) {
        return (const float *)(const void *)pixels;
    }
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        x[i] = (float)pixels[i] * TT_MODEL_INPUT_SCALE + TT_MODEL_INPUT_SHIFT;
    }
    return x;
}

static const float *new_input(tt_console_t *console)
{
    return console->format == console->config.format ? tt_console_sample(console, console->kept) : console->config.input;
}

static bool no_arguments(const tt_console_request_t *request)
{
    return request->count == 1u;
}

/* ---- help, status ---- */

static uint32_t help(tt_console_t *console, const tt_console_request_t *request)
{
    static const char *const LINES[] = {
        "status                       what this board is and holds",
        "begin uint8|float32          a new sample, which follows by data",
        "data OFFSET BASE64*CRC32     bytes of the sample",
        "enroll LABEL                 keep the sample, of this class",
        "predict                      the class of the sample",
        "train LABEL                  one step with the sample",
        "adapt ITERATIONS [SEED] [flip] [constant]",
        "                             learn from the kept samples",
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

static void put_field(tt_console_t *console, const char *name, uint32_t value)
{
    tt_console_put(console, name);
    tt_console_put_number(console, value);
}

static void put_bits(tt_console_t *console, const char *name, float value)
{
    char bits[TT_CONSOLE_NUMBER_CHARACTERS];
    (void)tt_console_put_hexadecimal(bits, tt_console_bits(value));
    tt_console_put(console, name);
    tt_console_put(console, bits);
}

static void answer_nothing(tt_console_t *console)
{
    (void)console;
}

static uint32_t status(tt_console_t *console, const tt_console_request_t *request)
{
    (void)console;
    return no_arguments(request) ? (uint32_t)TT_OK : (uint32_t)TT_CONSOLE_BAD_ARGUMENT;
}

static void answer_status(tt_console_t *console)
{
    const tt_storage_t *storage = console->config.storage;
    put_field(console, " protocol=", TT_CONSOLE_PROTOCOL);
    tt_console_put(console, " fingerprint=" TT_MODEL_FINGERPRINT " shape=" TT_MODEL_INPUT_SHAPE " format=");
    tt_console_put(console, FORMATS[console->config.format]);
    put_bits(console, " scale=", TT_MODEL_INPUT_SCALE);
    put_bits(console, " shift=", TT_MODEL_INPUT_SHIFT);
    put_field(console, " classes=", TT_MODEL_CLASSES);
    tt_console_put(console, TT_MODEL_HAS_PROTOTYPES ? " loss=prototype" : " loss=softmax");
    tt_console_put(console, TT_MODEL_DYNAMIC ? " mode=dynamic" : " mode=static");
    put_field(console, " adaptable=", TT_MODEL_ADAPTABLE);
    put_field(console, " capacity=", console->config.capacity);
    put_field(console, " samples=", console->kept);
    put_field(console, " iterations=", console->config.iterations);
    put_field(console, " losses=", console->losses);
    put_field(console, " chunk=", data_bytes(console));
    put_field(console, " state=", (uint32_t)tt_state_bytes(console->config.session));
    put_field(console, " storage=", storage == NULL ? 0u : storage->size(storage->context));
}

/* ---- samples ---- */

static uint32_t begin(tt_console_t *console, const tt_console_request_t *request)
{
    uint32_t format = 0u;
    if (request->count != 2u) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    while (format < 2u && strcmp(request->words[1], FORMATS[format]) != 0) {
        ++format;
    }
    if (format == 2u) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (format == TT_CONSOLE_UINT8 && console->config.format != TT_CONSOLE_UINT8) {
        return TT_CONSOLE_OTHER_FORMAT;
    }
    console->format = (tt_console_format_t)format;
    console->received = 0u;
    console->expected = TT_MODEL_INPUT_ELEMENTS * (format == TT_CONSOLE_UINT8 ? 1u : FLOAT_BYTES);
    tt_console_add_field(console, "bytes", console->expected);
    return TT_OK;
}

static uint32_t data(tt_console_t *console, const tt_console_request_t *request)
{
    uint32_t offset;
    uint32_t bytes;
    if (request->count != 3u || !tt_console_decimal(request->words[1], &offset)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (console->expected == 0u) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    const size_t characters = strlen(request->words[2]);
    if (!tt_console_base64_size(request->words[2], characters, &bytes)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (offset > console->received) {
        return TT_CONSOLE_OUT_OF_ORDER;
    }
    if (bytes > console->expected - offset) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    tt_console_from_base64(request->words[2], characters, new_sample(console) + offset);
    if (offset + bytes > console->received) {
        console->received = offset + bytes;
    }
    tt_console_add_field(console, "bytes", console->received);
    return TT_OK;
}

static uint32_t label_of(const tt_console_request_t *request, uint32_t *label)
{
    if (request->count != 2u || !tt_console_decimal(request->words[1], label)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    return *label < TT_MODEL_CLASSES ? (uint32_t)TT_OK : (uint32_t)TT_ERROR_LABEL_OUT_OF_RANGE;
}

static uint32_t enroll(tt_console_t *console, const tt_console_request_t *request)
{
    uint32_t label;
    const uint32_t code = label_of(request, &label);
    if (code != TT_OK) {
        return code;
    }
    if (!complete(console)) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    if (console->format != console->config.format) {
        return TT_CONSOLE_OTHER_FORMAT;
    }
    if (console->kept == console->config.capacity) {
        return TT_CONSOLE_FULL;
    }
    const float *x = new_input(console);
#if TT_MODEL_HAS_PROTOTYPES
    const tt_status_t enrolled = tt_enroll(console->config.session, x, label);
    if (enrolled != TT_OK) {
        return enrolled;
    }
#else
    if (!tt_all_finite(x, TT_MODEL_INPUT_ELEMENTS)) {
        return TT_ERROR_NOT_FINITE;
    }
#endif
    console->config.labels[console->kept] = label;
    ++console->kept;
    drop_new_sample(console);
    tt_console_add_field(console, "samples", console->kept);
    return TT_OK;
}

static uint32_t forget(tt_console_t *console, const tt_console_request_t *request)
{
    if (!no_arguments(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
#if TT_MODEL_HAS_PROTOTYPES
    const tt_status_t forgotten = tt_forget_prototypes(console->config.session);
    if (forgotten != TT_OK) {
        return forgotten;
    }
#endif
    console->kept = 0u;
    drop_new_sample(console);
    return TT_OK;
}

/* ---- predict, train, adapt ---- */

static uint32_t predict(tt_console_t *console, const tt_console_request_t *request)
{
    if (!no_arguments(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    return complete(console) ? (uint32_t)tt_predict(console->config.session, new_input(console), console->scores)
                             : (uint32_t)TT_CONSOLE_NO_SAMPLE;
}

static void answer_predict(tt_console_t *console)
{
    uint32_t best = 0u;
    for (uint32_t i = 1; i < TT_MODEL_CLASSES; ++i) {
        best = console->scores[i] > console->scores[best] ? i : best;
    }
    put_field(console, " class=", best);
    tt_console_put(console, " scores=");
    tt_console_put_bytes(console, (const uint8_t *)(const void *)console->scores, TT_MODEL_CLASSES * FLOAT_BYTES);
}

static uint32_t train(tt_console_t *console, const tt_console_request_t *request)
{
    uint32_t label;
    float loss = 0.0f;
    uint32_t code = label_of(request, &label);
    if (code != TT_OK) {
        return code;
    }
    if (!complete(console)) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    code = (uint32_t)tt_train_step(console->config.session, new_input(console), label, &loss);
    if (code == TT_OK) {
        tt_console_add_loss(console, loss);
    }
    return code;
}

static uint32_t adapt(tt_console_t *console, const tt_console_request_t *request)
{
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
    if (!TT_MODEL_ADAPTABLE && (flip || constant)) {
        return TT_CONSOLE_UNSUPPORTED;
    }
    if (console->kept == 0u) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    if (console->config.format == TT_CONSOLE_UINT8 && console->format == TT_CONSOLE_FLOAT32) {
        drop_new_sample(console); /* it lies where the kept ones are going to be scaled */
    }
    console->losses = 0u;
    const uint32_t code = tt_console_adapt(console, iterations, seed, flip, constant);
    if (code == TT_OK) {
        console->losses = iterations;
        tt_console_add_field(console, "iterations", iterations);
        tt_console_add_loss(console, iterations > 0u ? console->config.losses[iterations - 1u] : 0.0f);
    }
    return code;
}

/* ---- what is sent in pieces ---- */

/* The place and size of a piece: of `total` units of `unit` bytes, from the given one on, as many as the line holds. */
static uint32_t piece_of(tt_console_t *console, const tt_console_request_t *request, uint32_t total, uint32_t unit)
{
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

static void answer_piece(tt_console_t *console, const char *name, const uint8_t *bytes)
{
    put_field(console, " total=", console->total);
    put_field(console, name, console->offset);
    tt_console_put(console, " data=");
    tt_console_put_bytes(console, bytes, console->piece);
}

static uint32_t losses(tt_console_t *console, const tt_console_request_t *request)
{
    return piece_of(console, request, console->losses, FLOAT_BYTES);
}

static void answer_losses(tt_console_t *console)
{
    answer_piece(console, " first=", (const uint8_t *)(const void *)(console->config.losses + console->offset));
}

static uint32_t dump(tt_console_t *console, const tt_console_request_t *request)
{
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
    const bool read = storage->read(storage->context, slot.offset + console->offset, console->config.line, console->piece);
    return read ? (uint32_t)TT_OK : (uint32_t)TT_ERROR_STORAGE;
}

static void answer_dump(tt_console_t *console)
{
    answer_piece(console, " offset=", (const uint8_t *)(const void *)console->config.line);
}

/* ---- save, load, reset ---- */

static uint32_t save(tt_console_t *console, const tt_console_request_t *request)
{
    if (!no_arguments(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (console->config.storage == NULL) {
        return TT_CONSOLE_NO_STORAGE;
    }
    tt_console_add_field(console, "bytes", (uint32_t)tt_state_bytes(console->config.session));
    return tt_save(console->config.session, console->config.storage);
}

static uint32_t load(tt_console_t *console, const tt_console_request_t *request)
{
    if (!no_arguments(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    if (console->config.storage == NULL) {
        return TT_CONSOLE_NO_STORAGE;
    }
    const tt_status_t loaded = tt_load(console->config.session, console->config.storage);
    tt_console_add_field(console, "bytes", (uint32_t)tt_state_bytes(console->config.session));
    return loaded;
}

static uint32_t reset(tt_console_t *console, const tt_console_request_t *request)
{
    if (!no_arguments(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    const tt_status_t done = tt_reset(console->config.session);
    if (done == TT_OK) {
        console->kept = 0u;
        console->losses = 0u;
        drop_new_sample(console);
    }
    return done;
}

const tt_console_command_t *tt_console_find(const char *name)
{
    static const tt_console_command_t COMMANDS[] = {
        {"help", help, answer_nothing, false},      {"status", status, answer_status, false},
        {"begin", begin, NULL, false},              {"data", data, NULL, true},
        {"enroll", enroll, NULL, false},            {"predict", predict, answer_predict, false},
        {"train", train, NULL, false},              {"adapt", adapt, NULL, false},
        {"losses", losses, answer_losses, false},   {"forget", forget, NULL, false},
        {"save", save, NULL, false},                {"load", load, NULL, false},
        {"dump", dump, answer_dump, false},         {"reset", reset, NULL, false},
    };
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; ++i) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}
