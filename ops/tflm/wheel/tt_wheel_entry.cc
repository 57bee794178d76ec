/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry for the tflite-micro wheel, which looks the function up by its name and hands it its resolver. Compiled by
 * tt_tflm/boards/simulated/tflm_wheel.py only.
 */
#include "tt_register_ops.h"

#ifndef TT_TFLM_STAND_IN
#error "expected to be compiled without TFLM's headers: firmware calls RegisterTinyTrainOps"
#endif

namespace {

constexpr int32_t kBuiltinCustom = 32;
constexpr int32_t kLastBuiltin = 300;
constexpr unsigned kCapacity = 200;

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
        table_[used_] = *registration;
        table_[used_].builtin_code = kBuiltinCustom;
        table_[used_].custom_name = name;
        ++used_;
        return kTfLiteOk;
    }

  private:
    TFLMRegistration table_[kCapacity];
    unsigned used_;
};

} // namespace

extern "C" __attribute__((visibility("default"))) bool TtRegisterOps(Resolver *resolver) {
    return resolver->Plausible() && tinytrain::RegisterTinyTrainOps(*resolver) == kTfLiteOk;
}
