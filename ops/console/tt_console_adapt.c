/* SPDX-License-Identifier: Apache-2.0 */
/* Learning from the kept samples, as the build can: choose, then adapt, or train step by step. */
#include "tt_console_parts.h"
#include "tt_console_text.h"
#include "tt_task.h"

static void show(tt_console_t *console, const char *stage, uint32_t done, uint32_t total, const float *loss) {
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

static bool goes_on(const tt_console_t *console, const char *stage, uint32_t done, uint32_t total) {
    const tt_console_config_t *config = &console->config;
    return config->progress == NULL || config->progress(config->progress_context, stage, done, total);
}

#if TT_MODEL_DYNAMIC || TT_MODEL_ADAPTABLE
/* A call that learns, as seen from the samples that it asks for: that many before its first step, and in each. */
typedef struct {
    tt_console_t *console;
    const char *stage;
    const float *losses; /* [steps]; NULL where there are none */
    uint32_t steps;
    uint32_t in_each;
    uint32_t before; /* still to be asked for before the first step */
    uint32_t asked;  /* since the step began */
    uint32_t done;   /* steps */
    bool stopped;
} watch_t;

static void end_step(watch_t *watch) {
    watch->asked = 0u;
    ++watch->done;
    show(watch->console, watch->stage, watch->done, watch->steps,
         watch->losses == NULL ? NULL : &watch->losses[watch->done - 1u]);
}

static const float *watched_sample(void *context, uint32_t index) {
    watch_t *watch = context;
    if (watch->asked == watch->in_each && watch->done < watch->steps) {
        end_step(watch);
    }
    if (!goes_on(watch->console, watch->stage, watch->done * watch->in_each + watch->asked,
                 watch->steps * watch->in_each)) {
        watch->stopped = true;
        return NULL;
    }
    if (watch->before > 0u) {
        --watch->before;
    } else if (watch->done < watch->steps) {
        ++watch->asked;
    }
    return tt_console_sample(watch->console, index);
}
#endif

static uint32_t choose(tt_console_t *console) {
#if TT_MODEL_DYNAMIC
    watch_t watch = {console, "inspecting", NULL, console->kept, 1u, 0u, 0u, 0u, false};
#if TT_MODEL_HAS_PROTOTYPES
    watch.before = console->kept; /* to enroll */
#endif
    const tt_status_t status =
        tt_task_choose(console->config.session, watched_sample, &watch, console->config.labels, console->kept);
    if (status == TT_OK) {
        end_step(&watch);
    }
    return watch.stopped ? (uint32_t)TT_CONSOLE_STOPPED : (uint32_t)status;
#else
    (void)console;
    return TT_OK;
#endif
}

#if TT_MODEL_ADAPTABLE

static uint32_t learn(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant) {
    tt_console_config_t *config = &console->config;
    watch_t watch = {console,
                     "adapting",
                     config->losses,
                     iterations,
                     console->kept * (constant ? 2u : 4u),
                     2u * console->kept, /* to enroll, and to set the pace */
                     0u,
                     0u,
                     false};
    tt_adaptation_t task;
    task.sample = watched_sample;
    task.context = &watch;
    task.labels = config->labels;
    task.samples = console->kept;
    task.iterations = iterations;
    task.seed = seed;
    task.exact = constant ? 0u : 1u;
    task.paced = 1u;
    task.augment = tt_task_augment(flip);
    const tt_status_t status =
        tt_adapt(config->session, &task, config->workspace, config->workspace_bytes, config->losses);
    return watch.stopped ? (uint32_t)TT_CONSOLE_STOPPED : (uint32_t)status;
}

#else

#if TT_MODEL_HAS_PROTOTYPES
static const float *kept_sample(void *context, uint32_t index) {
    return tt_console_sample(context, index);
}

static uint32_t enroll_all(tt_console_t *console) {
    return tt_task_enroll(console->config.session, kept_sample, console, console->config.labels, console->kept);
}
#endif

/* Visits every sample once, in an order that differs from pass to pass: a stride without a factor in common with the
 * number of samples, so that no list has to be kept. */
static uint32_t stride_of(uint32_t samples, uint32_t mixed) {
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

static uint32_t mix(uint32_t value) {
    value = (value ^ value >> 16) * 0x7feb352du;
    value = (value ^ value >> 15) * 0x846ca68bu;
    return value ^ value >> 16;
}

static uint32_t one_pass(tt_console_t *console, uint32_t pass, uint32_t passes, uint32_t seed, float *mean) {
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

static uint32_t learn(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant) {
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

uint32_t tt_console_adapt(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant) {
    const uint32_t code = choose(console);
    return code == TT_OK ? learn(console, iterations, seed, flip, constant) : code;
}
