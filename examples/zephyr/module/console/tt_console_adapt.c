/* SPDX-License-Identifier: Apache-2.0 */
/* Learning from the kept samples, as the build can: choose, then adapt, or train step by step. */
#include <string.h>

#include "tt_console_parts.h"
#include "tt_console_text.h"

static void show(tt_console_t *console, const char *stage, uint32_t done, uint32_t total, const float *loss)
{
    char number[TT_CONSOLE_NUMBER_CHARACTERS];
    tt_console_put(console, stage);
    tt_console_put(console, " ");
    tt_console_put_number(console, done);
    tt_console_put(console, "/");
    tt_console_put_number(console, total);
    if (loss != NULL) {
        (void)tt_console_put_fixed(number, *loss);
        tt_console_put(console, " loss ");
        tt_console_put(console, number);
    }
    tt_console_end_line(console);
}

static bool goes_on(const tt_console_t *console, const char *stage, uint32_t done, uint32_t total)
{
    const tt_console_config_t *config = &console->config;
    return config->progress == NULL || config->progress(config->progress_context, stage, done, total);
}

#if TT_MODEL_HAS_PROTOTYPES && (TT_MODEL_DYNAMIC || !TT_MODEL_ADAPTABLE)
static uint32_t enroll_all(tt_console_t *console)
{
    tt_status_t status = tt_forget_prototypes(console->config.session);
    for (uint32_t i = 0; i < console->kept && status == TT_OK; ++i) {
        status = tt_enroll(console->config.session, tt_console_sample(console, i), console->config.labels[i]);
    }
    return status;
}
#endif

#if TT_MODEL_DYNAMIC
static uint32_t choose(tt_console_t *console)
{
    static const tt_budget_t BUDGET = TT_MODEL_BUDGET;
    tt_session_t *session = console->config.session;
    uint32_t code = (uint32_t)tt_fisher_clear(session);
#if TT_MODEL_HAS_PROTOTYPES
    if (code == TT_OK) {
        code = enroll_all(console);
    }
#endif
    for (uint32_t i = 0; i < console->kept && code == TT_OK; ++i) {
        if (!goes_on(console, "inspecting", i, console->kept)) {
            return TT_CONSOLE_STOPPED;
        }
        code = (uint32_t)tt_fisher_accumulate(session, tt_console_sample(console, i), console->config.labels[i]);
        if (code == TT_OK) {
            show(console, "inspecting", i + 1u, console->kept, NULL);
        }
    }
    return code == TT_OK ? (uint32_t)tt_select(session, &BUDGET) : code;
}
#else
static uint32_t choose(tt_console_t *console)
{
    (void)console;
    return TT_OK;
}
#endif

#if TT_MODEL_ADAPTABLE

/* An adaptation as seen from the samples that it asks for: that many before the first iteration, and in each. */
typedef struct {
    tt_console_t *console;
    uint32_t iterations;
    uint32_t in_each;
    uint32_t asked;  /* since the iteration began */
    uint32_t before; /* still to be asked for before the first iteration */
    uint32_t done;   /* iterations */
    bool stopped;
} watch_t;

static const float *watched_sample(void *context, uint32_t index)
{
    watch_t *watch = context;
    tt_console_t *console = watch->console;
    if (watch->before > 0u) {
        --watch->before;
    } else if (watch->done < watch->iterations) {
        if (watch->asked == watch->in_each) {
            watch->asked = 0u;
            ++watch->done;
            show(console, "adapting", watch->done, watch->iterations, &console->config.losses[watch->done - 1u]);
        }
        ++watch->asked;
    }
    if (!goes_on(console, "adapting", watch->done * watch->in_each + watch->asked, watch->iterations * watch->in_each)) {
        watch->stopped = true;
        return NULL;
    }
    return tt_console_sample(console, index);
}

static uint32_t learn(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant)
{
    const float first = TT_MODEL_INPUT_SHIFT;
    const float last = 255.0f * TT_MODEL_INPUT_SCALE + TT_MODEL_INPUT_SHIFT;
    tt_augment_t augment = TT_AUGMENT_DEFAULTS;
    tt_adaptation_t task;
    watch_t watch;
    memset(&watch, 0, sizeof watch);
    watch.console = console;
    watch.iterations = iterations;
    watch.before = 2u * console->kept; /* to enroll, and to set the pace */
    watch.in_each = console->kept * (constant ? 2u : 4u);
    augment.flip = flip;
    augment.low = first < last ? first : last;
    augment.high = first < last ? last : first;
    task.sample = watched_sample;
    task.context = &watch;
    task.labels = console->config.labels;
    task.samples = console->kept;
    task.iterations = iterations;
    task.seed = seed;
    task.exact = constant ? 0u : 1u;
    task.paced = 1u;
    task.augment = augment;
    const tt_status_t status = tt_adapt(console->config.session, &task, console->config.workspace,
                                        console->config.workspace_bytes, console->config.losses);
    return watch.stopped ? (uint32_t)TT_CONSOLE_STOPPED : (uint32_t)status;
}

#else

/* Visits every sample once, in an order that differs from pass to pass: a stride without a factor in common with the
 * number of samples, so that no list has to be kept. */
static uint32_t stride_of(uint32_t samples, uint32_t mixed)
{
    uint32_t stride = samples > 2u ? 1u + mixed % (samples - 1u) : 1u;
    for (;; stride = stride % samples + 1u) {
        uint32_t a = samples;
        uint32_t b = stride;
        while (b > 0u) {
            const uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1u) {
            return stride;
        }
    }
}

static uint32_t mix(uint32_t value)
{
    value = (value ^ value >> 16) * 0x7feb352du;
    value = (value ^ value >> 15) * 0x846ca68bu;
    return value ^ value >> 16;
}

static uint32_t one_pass(tt_console_t *console, uint32_t pass, uint32_t passes, uint32_t seed, float *mean)
{
    const uint32_t samples = console->kept;
    const uint32_t mixed = mix(seed ^ mix(pass + 1u));
    const uint32_t stride = stride_of(samples, mixed >> 8);
    uint32_t index = mixed % samples;
    float sum = 0.0f;
    for (uint32_t i = 0; i < samples; ++i) {
        float loss = 0.0f;
        if (!goes_on(console, "adapting", pass * samples + i, passes * samples)) {
            return TT_CONSOLE_STOPPED;
        }
        const tt_status_t status = tt_train_step(console->config.session, tt_console_sample(console, index),
                                                 console->config.labels[index], &loss);
        if (status != TT_OK) {
            return (uint32_t)status;
        }
        sum += loss;
        index = (index + stride) % samples;
    }
    *mean = sum / (float)samples;
    return TT_OK;
}

static uint32_t learn(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant)
{
    uint32_t code = TT_OK;
    (void)flip;
    (void)constant;
#if TT_MODEL_HAS_PROTOTYPES
    code = enroll_all(console);
#endif
    for (uint32_t pass = 0; pass < iterations && code == TT_OK; ++pass) {
        float *loss = &console->config.losses[pass];
        code = one_pass(console, pass, iterations, seed, loss);
        if (code == TT_OK) {
            show(console, "adapting", pass + 1u, iterations, loss);
        }
#if TT_MODEL_HAS_PROTOTYPES
        if (code == TT_OK) {
            code = enroll_all(console); /* embeddings have moved */
        }
#endif
    }
    return code;
}

#endif /* TT_MODEL_ADAPTABLE */

uint32_t tt_console_adapt(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant)
{
    const uint32_t code = choose(console);
    return code == TT_OK ? learn(console, iterations, seed, flip, constant) : code;
}
