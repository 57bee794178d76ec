/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sketch that drives the class TinyTrain over an episode of the test's: numbers in, numbers out, a line each.
 *
 *     enroll LABEL x...        keeps the sample, and enrols it
 *     adapt ITERATIONS         learns from the kept samples
 *     sliced ITERATIONS        the same in slices, with a prediction of the last x after each
 *     cancelled ITERATIONS     the same until the second iteration is done
 *     train LABEL x...  predict x...  save  load  reset  begin  storage
 *
 * The answer is "ok" with scores, loss or class, or "error" with the status and its text.
 */
#include <Arduino.h>
#include <TinyTrain.h>

#include <stdio.h>
#include <stdlib.h>

TinyTrain model;
alignas(8) static float x[TT_MODEL_INPUT_ELEMENTS];
static char line[65536];

static constexpr uint32_t kSamples = 32;
alignas(8) static float kept[kSamples][TT_MODEL_INPUT_ELEMENTS + TT_MODEL_INPUT_ELEMENTS % 2];
static uint32_t labels[kSamples];
static uint32_t samples;
alignas(16) static uint8_t workspace[65536];

static const float *sample(void *, uint32_t index) {
    return kept[index];
}

static bool sliced(uint32_t iterations, bool cancels) {
    if (!model.adaptBegin(sample, nullptr, labels, samples, iterations, workspace, sizeof workspace)) {
        return false;
    }
    while (model.adaptStep()) {
        if (model.predict(x) < 0) {
            return false;
        }
        if (cancels && model.adaptIterations() == 2u) {
            model.adaptCancel();
            cancels = false;
        }
    }
    return model.status() == TT_OK;
}

static void print(float number) {
    char text[32];
    snprintf(text, sizeof text, " %a", static_cast<double>(number));
    Serial.print(text);
}

static void read(char *text) {
    for (float &number : x) {
        number = strtof(text, &text);
    }
}

static void answer(bool done) {
    if (!done) {
        Serial.print("error ");
        Serial.print(static_cast<int>(model.status()));
        Serial.print(" ");
        Serial.print(model.statusText());
    }
    Serial.println();
}

static void perform(char *command) {
    char *rest = strchr(command, ' ');
    if (rest != nullptr) {
        *rest++ = '\0';
    }
    bool done = false;
    if (strcmp(command, "begin") == 0) {
        done = model.begin();
    } else if (strcmp(command, "save") == 0) {
        done = model.save();
    } else if (strcmp(command, "load") == 0) {
        done = model.load();
    } else if (strcmp(command, "reset") == 0) {
        done = model.reset();
    } else if (strcmp(command, "storage") == 0) {
        done = model.storage() != nullptr;
        Serial.print(TinyTrainStorage::name());
        Serial.print(TinyTrainStorage::isPermanent() ? " kept " : " forgotten ");
    } else if (strcmp(command, "predict") == 0) {
        float scores[TT_MODEL_CLASSES];
        read(rest);
        const int best = model.predict(x, scores);
        done = best >= 0 && best == model.predict(x);
        for (int i = 0; done && i < TT_MODEL_CLASSES; ++i) {
            print(scores[i]);
        }
    } else if (strcmp(command, "train") == 0) {
        float loss = 0.0f;
        const uint32_t label = static_cast<uint32_t>(strtoul(rest, &rest, 10));
        read(rest);
        done = model.train(x, label, &loss);
        if (done) {
            print(loss);
        }
    } else if (strcmp(command, "enroll") == 0) {
        labels[samples] = static_cast<uint32_t>(strtoul(rest, &rest, 10));
        read(rest);
        memcpy(kept[samples], x, sizeof x);
        done = model.enroll(x, labels[samples]);
        samples += done && samples + 1 < kSamples ? 1 : 0;
    } else if (strcmp(command, "adapt") == 0) {
        done = model.adapt(sample, nullptr, labels, samples, static_cast<uint32_t>(strtoul(rest, nullptr, 10)),
                           workspace, sizeof workspace);
        if (done) {
            print(model.loss());
        }
    } else if (strcmp(command, "sliced") == 0 || strcmp(command, "cancelled") == 0) {
        const bool cancels = strcmp(command, "cancelled") == 0;
        done = sliced(static_cast<uint32_t>(strtoul(rest, nullptr, 10)), cancels);
        if (done && !cancels) {
            print(model.loss());
        }
    }
    answer(done);
}

void setup() {
    Serial.begin(115200);
}

void loop() {
    static size_t count = 0;
    while (Serial.available() > 0) {
        const char byte = static_cast<char>(Serial.read());
        line[count] = byte == '\n' ? '\0' : byte;
        count = count + 1 < sizeof line ? count + 1 : count;
        if (byte == '\n') {
            count = 0;
            perform(line);
        }
    }
}
