/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says once a second which class the model sees. What it has learned with Enroll_And_Adapt, if anything, is loaded.
 */
#include <TinyTrain.h>

TinyTrain model;
alignas(8) static float x[TT_MODEL_INPUT_ELEMENTS];

/* Put your sensor here: pixels of 0 to 255, row by row, channels last, scaled as the model was trained. */
static void readSensor() {
    for (int i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        const int pixel = analogRead(A0) / 4;
        x[i] = static_cast<float>(pixel) * TT_MODEL_INPUT_SCALE + TT_MODEL_INPUT_SHIFT;
    }
}

void setup() {
    Serial.begin(115200);
    pinMode(LED_BUILTIN, OUTPUT);
    if (!model.begin() || !model.load()) {
        Serial.println(model.statusText());
    }
}

void loop() {
    readSensor();
    const int seen = model.predict(x);
    if (seen < 0) {
        Serial.println(model.statusText());
    } else {
        Serial.print("class ");
        Serial.println(seen);
    }
    digitalWrite(LED_BUILTIN, seen >= 0 ? HIGH : LOW);
    delay(1000);
}
