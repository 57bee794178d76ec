/* SPDX-License-Identifier: Apache-2.0 */
/* An application's own thread beside the console: predicts a sample of its sensor, and writes what it has seen. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_model.h"
#include "tt_zephyr.h"

static uint32_t pulses;

void tt_zephyr_pulse(void) {
    ++pulses;
}

static void write_down(const float *scores, uint32_t while_learning) {
    char draft[4096];
    FILE *file;

    (void)snprintf(draft, sizeof(draft), "%s.draft", getenv("TT_SEEN"));
    file = fopen(draft, "wb");
    if (file == NULL || fwrite(scores, sizeof(float), TT_MODEL_CLASSES, file) != TT_MODEL_CLASSES ||
        fwrite(&pulses, sizeof(pulses), 1, file) != 1 ||
        fwrite(&while_learning, sizeof(while_learning), 1, file) != 1 || fclose(file) != 0 ||
        rename(draft, getenv("TT_SEEN")) != 0) {
        abort();
    }
}

static void watch(void *unused_1, void *unused_2, void *unused_3) {
    static float x[TT_MODEL_INPUT_ELEMENTS] __aligned(8);
    static float scores[TT_MODEL_CLASSES];
    uint32_t while_learning = 0;
    FILE *file = fopen(getenv("TT_SENSOR"), "rb");

    ARG_UNUSED(unused_1);
    ARG_UNUSED(unused_2);
    ARG_UNUSED(unused_3);
    if (file == NULL || fread(x, sizeof(x), 1, file) != 1) {
        abort();
    }
    (void)fclose(file);
    write_down(scores, while_learning);
    for (;;) {
        bool learns = false;

        if (tt_zephyr_lock(K_FOREVER) != NULL) {
            learns = tt_zephyr_learns();
            tt_zephyr_unlock();
        }
        if (tt_zephyr_predict(x, scores, K_FOREVER) == TT_OK) {
            while_learning += learns ? 1u : 0u;
            write_down(scores, while_learning);
        }
        k_msleep(1);
    }
}

K_THREAD_DEFINE(sensor, 4096, watch, NULL, NULL, NULL, 8, 0, 0);
