/* SPDX-License-Identifier: Apache-2.0 */
#include "TinyTrain.h"

#include "tt_task.h"

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

#if TT_MODEL_HAS_PROTOTYPES
bool TinyTrain::enroll(const float *x, uint32_t label) {
    return ends(tt_enroll(&session_, x, label));
}
#endif

#if TT_MODEL_ADAPTABLE
bool TinyTrain::adapt(tt_sample_t sample, void *context, const uint32_t *labels, uint32_t samples, uint32_t iterations,
                      void *workspace, size_t workspace_bytes) {
    float losses[kMaxIterations];
    if (sample == nullptr || labels == nullptr) {
        return ends(TT_ERROR_NULL_POINTER);
    }
    if (iterations == 0u || iterations > kMaxIterations) {
        return ends(TT_ERROR_INVALID_ARGUMENT);
    }
#if TT_MODEL_DYNAMIC
    if (!ends(tt_task_choose(&session_, sample, context, labels, samples))) {
        return false;
    }
#endif
    const tt_adaptation_t task = {sample, context, labels, samples, iterations, 0u, 1u, 1u, tt_task_augment(false)};
    if (!ends(tt_adapt(&session_, &task, workspace, workspace_bytes, losses))) {
        return false;
    }
    loss_ = losses[iterations - 1u];
    return true;
}
#endif

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
