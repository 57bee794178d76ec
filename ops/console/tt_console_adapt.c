/* SPDX-License-Identifier: Apache-2.0 */
/* Learning from the kept samples in slices, as the build can: choose, then adapt, or train step by step. */
#include "tt_console_parts.h"
#include "tt_console_text.h"

enum {
    IDLE = 0,
    INSPECTING,
    ADAPTING,
    ENROLLING, /* where steps are taken one by one: before the first pass, and after each */
    STEPPING
};

/* ---- progress ---- */

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

static uint32_t iterations_done(const tt_console_job_t *job) {
    return job->stage == ADAPTING ? tt_adapt_iterations(&job->of.adapter) : job->pass;
}

void tt_console_tell(tt_console_t *console) {
    const tt_console_job_t *job = &console->job;
    if (job->stage == INSPECTING) {
        show(console, "inspecting", tt_inspect_samples(&job->of.inspector), console->kept, NULL);
    } else if (job->stage != IDLE) {
        show(console, "adapting", iterations_done(job), job->iterations, NULL);
    }
}

const char *tt_console_progress(const tt_console_t *console, uint32_t *done, uint32_t *total) {
    const tt_console_job_t *job = &console->job;
    *done = 0u;
    *total = 0u;
    if (job->stage == IDLE) {
        return "idle";
    }
    if (job->stage == INSPECTING) {
        *done = tt_inspect_samples(&job->of.inspector);
        *total = console->kept;
    } else if (job->stage == ADAPTING) {
        tt_adapt_progress(&job->of.adapter, done, total);
    } else {
        *done = job->pass * console->kept + job->index;
        *total = job->iterations * console->kept;
    }
    return job->stopping ? "stopping" : job->stage == INSPECTING ? "inspecting" : "adapting";
}

/* ---- beginning and end ---- */

static const float *kept_sample(void *context, uint32_t index) {
    return tt_console_sample(context, index);
}

static tt_support_t support_of(tt_console_t *console) {
    const tt_support_t support = {kept_sample, console, console->config.labels, console->kept};
    return support;
}

static void finish(tt_console_t *console, uint32_t code) {
    tt_console_job_t *job = &console->job;
    const bool whole = job->stage != INSPECTING && iterations_done(job) == job->iterations;
    const uint32_t ended = code == TT_OK && !whole ? (uint32_t)TT_CONSOLE_STOPPED : code;
    job->stage = IDLE;
    if (ended == TT_OK) {
        console->losses = job->iterations;
    }
    tt_console_end_adapt(console, ended);
}

static tt_status_t begin_adapting(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    const tt_console_config_t *config = &console->config;
    tt_adaptation_t task;
    task.sample = kept_sample;
    task.context = console;
    task.labels = config->labels;
    task.samples = console->kept;
    task.iterations = job->iterations;
    task.seed = job->seed;
    task.exact = job->constant ? 0u : 1u;
    task.paced = 1u;
    task.augment = tt_default_augment(config->session->model, job->flip);
    job->stage = ADAPTING;
    return tt_adapt_begin(&job->of.adapter, config->session, &task, config->workspace, config->workspace_bytes,
                          config->losses);
}

static tt_status_t begin_enrolling(tt_console_t *console) {
    const tt_support_t support = support_of(console);
    console->job.stage = ENROLLING;
    return tt_enrolment_begin(&console->job.of.enrolment, console->config.session, &support, console->config.workspace,
                              console->config.workspace_bytes);
}

static void begin_pass(tt_console_job_t *job) {
    job->stage = STEPPING;
    job->index = 0u;
    job->sum = 0.0f;
}

static uint32_t begin_learning(tt_console_t *console) {
    const tt_session_t *session = console->config.session;
    console->job.told = 0u;
    if (tt_console_adaptable(session)) {
        return (uint32_t)begin_adapting(console);
    }
    if (session->model->prototypes != NULL) {
        return (uint32_t)begin_enrolling(console);
    }
    begin_pass(&console->job);
    return TT_OK;
}

static uint32_t begin(tt_console_t *console) {
    const tt_console_config_t *config = &console->config;
    tt_console_job_t *job = &console->job;
    if (config->session->model->loss->label != TT_LABEL_CLASS) {
        return TT_CONSOLE_UNSUPPORTED;
    }
    if (config->session->model->choice == NULL) {
        return begin_learning(console);
    }
    const tt_support_t support = support_of(console);
    job->stage = INSPECTING;
    return (uint32_t)tt_inspect_begin(&job->of.inspector, config->session, &support, NULL, config->workspace,
                                      config->workspace_bytes);
}

uint32_t tt_console_begin_adapt(tt_console_t *console, uint32_t iterations, uint32_t seed, bool flip, bool constant) {
    tt_console_job_t *job = &console->job;
    job->stopping = false;
    job->iterations = iterations;
    job->seed = seed;
    job->flip = flip;
    job->constant = constant;
    job->told = 0u;
    job->pass = 0u;
    job->index = 0u;
    const uint32_t code = begin(console);
    if (code != TT_OK) {
        job->stage = IDLE;
    }
    return code;
}

bool tt_console_learns(const tt_console_t *console) {
    return console->job.stage != IDLE;
}

/* ---- slices ---- */

static void inspect(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    (void)tt_inspect_step(&job->of.inspector);
    while (job->told < tt_inspect_samples(&job->of.inspector)) {
        ++job->told;
        show(console, "inspecting", job->told, console->kept, NULL);
    }
    if (tt_inspect_done(&job->of.inspector)) {
        const uint32_t code = (uint32_t)tt_inspect_outcome(&job->of.inspector);
        if (code != TT_OK || job->stopping) {
            finish(console, code);
            return;
        }
        const uint32_t begun = begin_learning(console);
        if (begun != TT_OK) {
            finish(console, begun);
        }
    }
}

static void adapt(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    (void)tt_adapt_step(&job->of.adapter);
    while (job->told < tt_adapt_iterations(&job->of.adapter)) {
        ++job->told;
        show(console, "adapting", job->told, job->iterations, &console->config.losses[job->told - 1u]);
    }
    if (tt_adapt_done(&job->of.adapter)) {
        finish(console, (uint32_t)tt_adapt_outcome(&job->of.adapter));
    }
}

static void enrol(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    const tt_status_t status = tt_enrolment_step(&job->of.enrolment);
    if (status != TT_OK) {
        finish(console, (uint32_t)status);
    } else if (tt_enrolment_done(&job->of.enrolment)) {
        if (job->stopping || job->pass == job->iterations) {
            finish(console, TT_OK);
        } else {
            begin_pass(job);
        }
    }
}

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

/* Which sample is the next one of the pass. */
static uint32_t place_of(const tt_console_job_t *job, uint32_t samples) {
    const uint32_t mixed = mix(job->seed ^ mix(job->pass + 1u));
    const uint64_t strides = (uint64_t)stride_of(samples, mixed >> 8) * job->index;
    return (uint32_t)((mixed % samples + strides) % samples);
}

/* Embeddings have moved: the samples are enrolled anew, where there are prototypes. */
static void end_pass(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    const bool last = job->stopping || job->pass == job->iterations;
    if (console->config.session->model->prototypes != NULL) {
        const tt_status_t status = begin_enrolling(console);
        if (status != TT_OK) {
            finish(console, (uint32_t)status);
        }
    } else if (last) {
        finish(console, TT_OK);
    } else {
        begin_pass(job);
    }
}

static void step(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    float loss = 0.0f;
    if (job->stopping || job->iterations == 0u) {
        end_pass(console);
        return;
    }
    const uint32_t index = place_of(job, console->kept);
    const tt_status_t status =
        tt_train_step(console->config.session, tt_console_sample(console, index), console->config.labels[index], &loss);
    if (status != TT_OK) {
        finish(console, (uint32_t)status);
        return;
    }
    job->sum += loss;
    job->index += 1u;
    if (job->index == console->kept) {
        float *mean = &console->config.losses[job->pass];
        *mean = job->sum / (float)console->kept;
        job->pass += 1u;
        job->index = 0u;
        show(console, "adapting", job->pass, job->iterations, mean);
        end_pass(console);
    }
}

bool tt_console_poll(tt_console_t *console) {
    switch (console->job.stage) {
    case INSPECTING:
        inspect(console);
        break;
    case ADAPTING:
        adapt(console);
        break;
    case ENROLLING:
        enrol(console);
        break;
    case STEPPING:
        step(console);
        break;
    default:
        break;
    }
    return tt_console_learns(console);
}

void tt_console_cancel(tt_console_t *console) {
    tt_console_job_t *job = &console->job;
    if (job->stage == IDLE || job->stopping) {
        return;
    }
    job->stopping = true;
    if (job->stage == INSPECTING) {
        tt_inspect_cancel(&job->of.inspector);
    } else if (job->stage == ADAPTING) {
        tt_adapt_cancel(&job->of.adapter);
    }
}
