/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All custom ops of a train.tflite, for an interpreter of TensorFlow Lite Micro:
 *
 *     tflite::MicroMutableOpResolver<TT_OPS + 20> resolver;   // and as many builtin ops as the model has
 *     if (tinytrain::RegisterTinyTrainOps(resolver) != kTfLiteOk) ...
 */
#ifndef TT_REGISTER_OPS_H
#define TT_REGISTER_OPS_H

#include "tt_op_codes.h"
#include "tt_op_table.h"

namespace tinytrain {

/* The op with that index, below TT_OPS. */
const OpEntry &RegisteredOp(int index);

/*
 * Adds every op to a resolver.
 *
 * resolver: with AddCustom(const char *, TFLMRegistration *), which copies, and room for TT_OPS more ops.
 * Returns kTfLiteError if the resolver refused one.
 */
template <typename Resolver> TfLiteStatus RegisterTinyTrainOps(Resolver &resolver) {
    for (int i = 0; i < TT_OPS; ++i) {
        const OpEntry &op = RegisteredOp(i);
        /* Not const in TFLM before 2023. */
        TF_LITE_ENSURE_STATUS(resolver.AddCustom(op.name, const_cast<TFLMRegistration *>(&op.registration)));
    }
    return kTfLiteOk;
}

} // namespace tinytrain

#endif /* TT_REGISTER_OPS_H */
