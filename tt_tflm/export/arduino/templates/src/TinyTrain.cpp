/* SPDX-License-Identifier: Apache-2.0 */
#include "TinyTrain.h"

bool TinyTrain::ends(tt_status_t status) {
    status_ = status;
    return status == TT_OK;
}

bool TinyTrain::begin() {
    return ends(tt_init(&session_, &tt_model, arena_, sizeof arena_, row_pool_, sizeof row_pool_));
}

int TinyTrain::predict(const float *x, float *scores) {
    float own_scores[TT_MODEL_CLASSES];
    if (scores == nullptr) {
        scores = own_scores;
    }
    if (!ends(tt_predict(&session_, x, scores))) {
        return -1;
    }
    int best = 0;
    for (int i = 1; i < TT_MODEL_CLASSES; ++i) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    return best;
}

bool TinyTrain::train(const float *x, uint32_t label, float *loss) {
    return ends(tt_train_step(&session_, x, label, loss));
}

bool TinyTrain::enroll(const float *x, uint32_t label) {
    return ends(tt_enroll(&session_, x, label));
}

tt_status_t TinyTrain::beginTraining() {
    stage_ = kTraining;
    return tt_adapt_begin(&work_.training, &session_, &task_, memory_, memory_bytes_, losses_);
}

tt_status_t TinyTrain::beginStage() {
    if (tt_model.choice == nullptr) {
        return beginTraining();
    }
    const tt_support_t support = {task_.sample, task_.context, task_.labels, task_.samples};
    stage_ = kChoosing;
    return tt_inspect_begin(&work_.choice, &session_, &support, nullptr, memory_, memory_bytes_);
}

bool TinyTrain::adaptBegin(tt_sample_t sample, void *context, const uint32_t *labels, uint32_t samples,
                           uint32_t iterations, void *workspace, size_t workspace_bytes) {
    stage_ = kIdle;
    if (sample == nullptr || labels == nullptr || workspace == nullptr) {
        return ends(TT_ERROR_NULL_POINTER);
    }
    if (iterations == 0u || iterations > kMaxIterations) {
        return ends(TT_ERROR_INVALID_ARGUMENT);
    }
    if (workspace_bytes < workspaceBytes(samples)) {
        return ends(TT_ERROR_ARENA_TOO_SMALL);
    }
    task_ = {sample, context, labels, samples, iterations, 0u, 1u, 1u, tt_default_augment(&tt_model, false)};
    losses_ = static_cast<float *>(workspace);
    memory_ = losses_ + kMaxIterations;
    memory_bytes_ = workspace_bytes - kMaxIterations * sizeof(float);
    cancelled_ = false;
    const bool begun = ends(beginStage());
    stage_ = begun ? stage_ : kIdle;
    return begun;
}

bool TinyTrain::adaptEnd(tt_status_t status) {
    stage_ = kIdle;
    if (ends(status) && !cancelled_) {
        loss_ = losses_[task_.iterations - 1u];
    }
    return false;
}

bool TinyTrain::adaptStep() {
    if (stage_ == kChoosing) {
        (void)tt_inspect_step(&work_.choice);
        if (!tt_inspect_done(&work_.choice)) {
            return true;
        }
        const tt_status_t chosen = tt_inspect_outcome(&work_.choice);
        const tt_status_t begun = chosen == TT_OK && !cancelled_ ? beginTraining() : chosen;
        return (begun == TT_OK && !cancelled_) || adaptEnd(begun);
    }
    if (stage_ == kTraining) {
        (void)tt_adapt_step(&work_.training);
        return !tt_adapt_done(&work_.training) || adaptEnd(tt_adapt_outcome(&work_.training));
    }
    return false;
}

void TinyTrain::adaptCancel() {
    cancelled_ = true;
    if (stage_ == kChoosing) {
        tt_inspect_cancel(&work_.choice);
    } else if (stage_ == kTraining) {
        tt_adapt_cancel(&work_.training);
    }
}

uint32_t TinyTrain::adaptIterations() const {
    return stage_ == kTraining ? tt_adapt_iterations(&work_.training) : 0u;
}

bool TinyTrain::adapt(tt_sample_t sample, void *context, const uint32_t *labels, uint32_t samples, uint32_t iterations,
                      void *workspace, size_t workspace_bytes) {
    if (!adaptBegin(sample, context, labels, samples, iterations, workspace, workspace_bytes)) {
        return false;
    }
    while (adaptStep()) {
    }
    return status_ == TT_OK;
}

const tt_storage_t *TinyTrain::storage() {
    return ends(storage_.begin()) ? storage_.get() : nullptr;
}

bool TinyTrain::save() {
    const tt_storage_t *place = storage();
    return place != nullptr && ends(tt_save(&session_, place));
}

bool TinyTrain::load() {
    const tt_storage_t *place = storage();
    return place != nullptr && ends(tt_load(&session_, place));
}

bool TinyTrain::reset() {
    return ends(tt_reset(&session_));
}
