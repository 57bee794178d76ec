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

static const tt_model_t *model_of(const tt_console_t *console) {
    return console->config.session->model;
}

static uint8_t *kept_sample(const tt_console_t *console, uint32_t index) {
    const size_t elements = model_of(console)->input_elements;
    const bool pixels = console->config.format == TT_CONSOLE_UINT8;
    return (uint8_t *)console->config.samples +
           index * (pixels ? TT_CONSOLE_UINT8_BYTES(elements) : TT_CONSOLE_FLOAT32_BYTES(elements));
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
    const tt_model_t *model = model_of(console);
    const uint8_t *pixels = kept_sample(console, index);
    float *x = console->config.input;
    if (console->config.format == TT_CONSOLE_FLOAT32) {
        return (const float *)(const void *)pixels;
    }
    for (uint32_t i = 0; i < model->input_elements; ++i) {
        x[i] = (float)pixels[i] * model->input_scale + model->input_shift;
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
    if (format != (uint32_t)console->config.format && tt_console_learns(console)) {
        return TT_CONSOLE_BUSY; /* it would lie where the kept ones are scaled */
    }
    console->format = (tt_console_format_t)format;
    console->received = 0u;
    console->expected = model_of(console)->input_elements * (format == TT_CONSOLE_UINT8 ? 1u : (uint32_t)sizeof(float));
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

uint32_t tt_console_label(const tt_console_t *console, const tt_console_request_t *request, uint32_t *label) {
    if (request->count != 2u || !tt_console_decimal(request->words[1], label)) {
        return TT_CONSOLE_BAD_ARGUMENT;
    }
    return *label < model_of(console)->classes ? (uint32_t)TT_OK : (uint32_t)TT_ERROR_LABEL_OUT_OF_RANGE;
}

/* As tt_enroll, which needs prototypes, would find it. */
static tt_status_t check_input(const tt_console_t *console, const float *x) {
    return tt_all_finite(x, model_of(console)->input_elements) ? TT_OK : TT_ERROR_NOT_FINITE;
}

uint32_t tt_console_enroll(tt_console_t *console, const tt_console_request_t *request) {
    uint32_t label;
    const uint32_t code = tt_console_label(console, request, &label);
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
    const bool enrols = model_of(console)->prototypes != NULL;
    const tt_status_t taken = enrols ? tt_enroll(console->config.session, x, label) : check_input(console, x);
    if (taken != TT_OK) {
        return (uint32_t)taken;
    }
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
    if (model_of(console)->prototypes != NULL) {
        const tt_status_t forgotten = tt_forget_prototypes(console->config.session);
        if (forgotten != TT_OK) {
            return (uint32_t)forgotten;
        }
    }
    console->kept = 0u;
    tt_console_drop_sample(console);
    return TT_OK;
}
