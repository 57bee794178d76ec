/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs kernels of ops/kernels on an emulated board and prints, one a line: case, kernel, instructions.
 * TT_CASES: initialisers of bench_case_t, separated by commas.
 */
#include <float.h>
#include <stdbool.h>

#include "tt_conv2d.h"
#include "tt_depthwise_conv2d.h"
#include "tt_sim_clock.h"
#include "tt_sim_semihost.h"

#define FLOATS 32768
#define CHANNELS 512

typedef struct {
    tt_window_t window;
    bool depthwise;
    int32_t every; /* every so many-th channel is trained */
} bench_case_t;

static const bench_case_t CASES[] = {TT_CASES};

static _Alignas(16) float image[FLOATS];
static _Alignas(16) float output[FLOATS];
static _Alignas(16) float base[FLOATS];
static _Alignas(16) float gradient[FLOATS];
static _Alignas(16) float packed[FLOATS];
static uint16_t channels[CHANNELS];
static uint16_t slots[CHANNELS];
static tt_rows_t rows;

static void forward(const bench_case_t *bench) {
    if (bench->depthwise) {
        tt_depthwise_conv2d(&bench->window, image, packed, NULL, 0.0f, 6.0f, output);
    } else {
        tt_conv2d(&bench->window, image, &rows, NULL, 0.0f, 6.0f, output);
    }
}

static void grad_input(const bench_case_t *bench) {
    if (bench->depthwise) {
        tt_depthwise_conv2d_grad_input(&bench->window, output, packed, false, image);
    } else {
        tt_conv2d_grad_input(&bench->window, output, &rows, false, image);
    }
}

static void gradient_of_rows(const bench_case_t *bench, uint32_t parts) {
    if (bench->depthwise) {
        tt_depthwise_conv2d_grad_weights(&bench->window, image, output, &rows, 1.0f, parts, gradient);
    } else {
        tt_conv2d_grad_weights(&bench->window, image, output, &rows, 1.0f, parts, gradient);
    }
}

static void grad_weights(const bench_case_t *bench) {
    gradient_of_rows(bench, TT_GRADIENT_WEIGHTS);
}

static void grad_weights_and_bias(const bench_case_t *bench) {
    gradient_of_rows(bench, TT_GRADIENT_WEIGHTS | TT_GRADIENT_BIAS);
}

static void pack_rows(const bench_case_t *bench) {
    if (bench->depthwise) {
        (void)tt_depthwise_pack_rows(&bench->window, &rows, packed, sizeof packed);
    }
}

static void prepare(const bench_case_t *bench) {
    const tt_window_t *w = &bench->window;
    const int32_t weights = w->kh * w->kw * (bench->depthwise ? 1 : w->C);
    for (int32_t i = 0; i < FLOATS; ++i) {
        image[i] = (float)(i % 13 - 6) * 0.125f;
        output[i] = (float)(i % 11 - 5) * 0.25f;
        base[i] = (float)(i % 7 - 3) * 0.5f;
    }
    rows = (tt_rows_t){base, packed, slots, channels, (uint32_t)((weights + 2) / 2 * 2), 0u};
    for (int32_t o = 0; o < w->O; ++o) {
        slots[o] = TT_SLOT_FROZEN;
        if (o % bench->every == 0) {
            channels[rows.trained++] = (uint16_t)o;
        }
    }
}

static void append_number(char **end, uint64_t value) {
    char digits[24];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value > 0u);
    *(*end)++ = ' ';
    while (count > 0) {
        *(*end)++ = digits[--count];
    }
}

int main(void) {
    typedef void (*run_t)(const bench_case_t *);
    static const run_t RUNS[] = {pack_rows, forward, grad_input, grad_weights, grad_weights_and_bias};
    tt_sim_clock_start();
    for (uint32_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        for (uint32_t k = 0; k < sizeof RUNS / sizeof RUNS[0]; ++k) {
            const tt_sim_call_t call = {(uint32_t)(uintptr_t)RUNS[k], {(uint32_t)(uintptr_t)&CASES[i], 0u, 0u, 0u}};
            uint64_t instructions;
            prepare(&CASES[i]);
            (void)tt_sim_count(&call, &instructions);
            char line[80];
            char *end = line;
            append_number(&end, i);
            append_number(&end, k);
            append_number(&end, instructions);
            *end++ = '\n';
            *end = '\0';
            tt_sim_print(line);
        }
    }
    return 0;
}
