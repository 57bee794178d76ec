/* SPDX-License-Identifier: Apache-2.0 */
/* Samples: uploaded, kept, and as the model takes them; and the commands begin, data, enroll and forget. */
#include <stdbool.h>
#include <string.h>

#include "tt_console_parts.h"
#include "tt_console_text.h"
#include "tt_finite.h"

const char *const tt_console_formats[] = {"uint8", "float32"};

bool tt_console_complete(const tt_console_t *console) {
    return console->expected > 0u && console->received == console->expected;
}

static uint8_t *kept_sample(const tt_console_t *console, uint32_t index) {
    const bool pixels = console->config.format == TT_CONSOLE_UINT8;
    return (uint8_t *)console->config.samples + index * (pixels ? TT_CONSOLE_UINT8_BYTES : TT_CONSOLE_FLOAT32_BYTES);
}

/* Where a new sample lies: behind the kept ones; floats that could not be kept go where the model reads. */
static uint8_t *new_sample(const tt_console_t *console) {
    return console->format == console->config.format ? kept_sample(console, console->kept)
                                                     : (uint8_t *)(void *)console->config.input;
}

void tt_console_drop_sample(tt_console_t *console) {
    console->expected = 0u;
    console->received = 0u;
}

const float *tt_console_sample(tt_console_t *console, uint32_t index) {
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

const float *tt_console_new_input(tt_console_t *console) {
    return console->format == console->config.format ? tt_console_sample(console, console->kept)
                                                     : console->config.input;
}

uint32_t tt_console_begin(tt_console_t *console, const tt_console_request_t *request) {
    uint32_t format = 0u;
    if (request->count != 2u) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    while (format < 2u && strcmp(request->words[1], tt_console_formats[format]) != 0) {
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
    console->expected = TT_MODEL_INPUT_ELEMENTS * (format == TT_CONSOLE_UINT8 ? 1u : (uint32_t)sizeof(float));
    tt_console_add_field(console, "bytes", console->expected);
    return TT_OK;
}

uint32_t tt_console_data(tt_console_t *console, const tt_console_request_t *request) {
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

uint32_t tt_console_label(const tt_console_request_t *request, uint32_t *label) {
    if (request->count != 2u || !tt_console_decimal(request->words[1], label)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    return *label < TT_MODEL_CLASSES ? (uint32_t)TT_OK : (uint32_t)TT_ERROR_LABEL_OUT_OF_RANGE;
}

uint32_t tt_console_enroll(tt_console_t *console, const tt_console_request_t *request) {
    uint32_t label;
    const uint32_t code = tt_console_label(request, &label);
    if (code != TT_OK) {
        return code;
    }
    if (!tt_console_complete(console)) {
        return TT_CONSOLE_NO_SAMPLE;
    }
    if (console->format != console->config.format) {
        return TT_CONSOLE_OTHER_FORMAT;
    }
    if (console->kept == console->config.capacity) {
        return TT_CONSOLE_FULL;
    }
    const float *x = tt_console_new_input(console);
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
    tt_console_drop_sample(console);
    tt_console_add_field(console, "samples", console->kept);
    return TT_OK;
}

uint32_t tt_console_forget(tt_console_t *console, const tt_console_request_t *request) {
    if (!tt_console_bare(request)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
#if TT_MODEL_HAS_PROTOTYPES
    const tt_status_t forgotten = tt_forget_prototypes(console->config.session);
    if (forgotten != TT_OK) {
        return forgotten;
    }
#endif
    console->kept = 0u;
    tt_console_drop_sample(console);
    return TT_OK;
}
