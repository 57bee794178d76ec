/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry for the tflite-micro wheel, which looks the function up by its name and hands it its resolver, and the way to the
 * tensors of a model in it, of which Python has copies alone. Compiled by tt_tflm/boards/simulated/tflm_wheel.py only.
 */
#include <utility>

#include "tt_build_losses.h"
#include "tt_register_ops.h"

#ifndef TT_TFLM_STAND_IN
#error "expected to be compiled without TFLM's headers: firmware calls RegisterTinyTrainOps"
#endif

namespace {

constexpr int32_t kBuiltinCustom = 32;
constexpr int32_t kLastBuiltin = 300;
constexpr unsigned kCapacity = 200;
constexpr size_t kElementBytes = 4; /* of float32 and int32 */

thread_local TfLiteContext *latest_context = nullptr;

/* Of the build whose model runs: its sources are another library. */
thread_local const tt_build_loss_t *losses_in_use = nullptr;

/* No op has an Init of its own. This one sees the context, which lives as long as the interpreter. */
void *SeeContext(TfLiteContext *context, const char *, size_t) {
    latest_context = context;
    return nullptr;
}

/* tflite::PythonOpsResolver as the wheel lays it out: a virtual table, registrations, and how many are in use. */
class Resolver {
  public:
    virtual void Unused() const;

    /* Whether the table looks as expected; the wheel's own ops are in it already. */
    bool Plausible() const {
        if (used_ == 0u || used_ > kCapacity - TT_OPS) {
            return false;
        }
        for (unsigned i = 0; i < used_; ++i) {
            const TFLMRegistration &entry = table_[i];
            const bool custom = entry.builtin_code == kBuiltinCustom;
            if (entry.invoke == nullptr || entry.builtin_code < 0 || entry.builtin_code > kLastBuiltin ||
                (custom && entry.custom_name == nullptr)) {
                return false;
            }
        }
        return true;
    }

    TfLiteStatus AddCustom(const char *name, const TFLMRegistration *registration) {
        if (registration->init != nullptr) {
            return kTfLiteError;
        }
        table_[used_] = *registration;
        table_[used_].builtin_code = kBuiltinCustom;
        table_[used_].custom_name = name;
        table_[used_].init = SeeContext;
        ++used_;
        return kTfLiteOk;
    }

  private:
    TFLMRegistration table_[kCapacity];
    unsigned used_;
};

} // namespace

extern "C" {

const tt_build_loss_t *tt_build_losses(void) {
    return losses_in_use;
}

/* The losses that runs of this thread call from now on, as tt_build_losses of a build gives them; NULL for none. */
__attribute__((visibility("default"))) void TtUseLosses(const tt_build_loss_t *losses) {
    losses_in_use = losses;
}

__attribute__((visibility("default"))) bool TtRegisterOps(Resolver *resolver) {
    return resolver->Plausible() && tinytrain::RegisterTinyTrainOps(*resolver) == kTfLiteOk;
}

/* The context of the interpreter that this thread has made since the last call; NULL where it runs no op of ours. */
__attribute__((visibility("default"))) TfLiteContext *TtTakeContext() {
    return std::exchange(latest_context, nullptr);
}

/*
 * Where a tensor of a model lies. tensor: its number in the subgraph. bytes: out.
 * Returns NULL where it has no place yet, or another type than float32 and int32.
 */
__attribute__((visibility("default"))) void *TtTensor(const TfLiteContext *context, int32_t tensor, size_t *bytes) {
    const TfLiteEvalTensor *found = context->GetEvalTensor(context, tensor);
    if (found == nullptr || (found->type != kTfLiteFloat32 && found->type != kTfLiteInt32)) {
        return nullptr;
    }
    *bytes = kElementBytes;
    for (int i = 0; i < found->dims->size; ++i) {
        *bytes *= static_cast<size_t>(found->dims->data[i]);
    }
    return found->data.data;
}
}
