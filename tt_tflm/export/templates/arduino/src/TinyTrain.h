/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that learns on the board. Declare one object at file scope: it holds all the memory that training takes
 * (TT_MODEL_ARENA_BYTES and TT_MODEL_ROW_POOL_BYTES), which no stack has room for.
 *
 *     TinyTrain model;
 *     alignas(8) static float x[TT_MODEL_INPUT_ELEMENTS];
 *
 *     void setup() { model.begin(); model.load(); }
 *     void loop() { fill(x); int label = model.predict(x); }
 *
 * Nothing is allocated and nothing thrown: a call that fails returns false (predict: -1), changes nothing that was
 * learned, and status() and statusText() tell why. What is not offered here is in tt_model.h, by session().
 */
#ifndef TINYTRAIN_H
#define TINYTRAIN_H

#include "TinyTrainStorage.h"
#include "tt_model.h"

class TinyTrain {
public:
    constexpr TinyTrain() = default;
    TinyTrain(const TinyTrain &) = delete;
    TinyTrain &operator=(const TinyTrain &) = delete;

    /* Base weights, nothing learned. Call it before anything else. */
    bool begin();

    /*
     * The class of a sample, 0 to TT_MODEL_CLASSES - 1; -1 on failure.
     * x:      [TT_MODEL_INPUT_ELEMENTS], scaled as the model was trained, 8-byte aligned.
     * scores: out, [TT_MODEL_CLASSES], the class is where the largest is; may be nullptr.
     */
    int predict(const float *x, float *scores = nullptr);

    /* One sample, one step of the optimiser. loss: out, before the step; may be nullptr. */
    bool train(const float *x, uint32_t label, float *loss = nullptr);

#if TT_MODEL_HAS_PROTOTYPES
    /* Add a sample to the prototype of its class. */
    bool enroll(const float *x, uint32_t label);
#endif

#if TT_MODEL_ADAPTABLE
    /*
     * Learn a task from its samples: enroll them, in a dynamic build choose what to train, train on variations of them, enroll them again.
     * sample:     gives sample index, valid until the next call, nullptr to give up; context is handed to it.
     * labels:     [samples]; every class that is to be told apart has a sample.
     * iterations: steps of the optimiser, 1 to kMaxIterations.
     * workspace:  16-byte aligned, workspaceBytes(samples) bytes; free for other uses after the call.
     */
    bool adapt(tt_sample_t sample, void *context, const uint32_t *labels, uint32_t samples, uint32_t iterations,
               void *workspace, size_t workspace_bytes);
    static size_t workspaceBytes(uint32_t samples) { return tt_adapt_workspace_bytes(samples); }
    static constexpr uint32_t kMaxIterations = 100;

    /* Mean loss of the last iteration of adapt. */
    float loss() const { return loss_; }
#endif

    /* Keep what was learned where TinyTrainStorage says; a cut of power leaves the state before or the new one. */
    bool save();

    /* Go on from what was saved last; refused when another model or plan saved it. */
    bool load();

    /* Forget what was learned since begin; what was saved stays saved. */
    bool reset();

    /* What the last call ended with. */
    tt_status_t status() const { return status_; }
    const char *statusText() const { return tt_status_text(status_); }

    /* For the calls of tt_model.h; valid once begin has returned true. */
    tt_session_t *session() { return &session_; }

    /* Where save writes; nullptr where the board has no room for it. */
    const tt_storage_t *storage();

private:
    bool ends(tt_status_t status);

    tt_status_t status_ = TT_OK;
    tt_session_t session_ = {};
    TinyTrainStorage storage_;
    alignas(16) uint8_t arena_[TT_MODEL_ARENA_BYTES] = {};
    alignas(16) uint8_t row_pool_[TT_MODEL_ROW_POOL_BYTES] = {};
#if TT_MODEL_ADAPTABLE
    float loss_ = 0.0f;
#endif
};

#endif /* TINYTRAIN_H */
