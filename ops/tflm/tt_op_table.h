/* SPDX-License-Identifier: Apache-2.0 */
/* The ops of each source file, for tt_register_ops.cc. */
#ifndef TT_OP_TABLE_H
#define TT_OP_TABLE_H

#include "tt_tflm_interface.h"

namespace tinytrain {

/* An op as the resolver takes it. */
struct OpEntry {
    const char *name;
    TFLMRegistration registration;
};

struct OpFamily {
    const OpEntry *entries;
    int count;
};

template <int count> constexpr OpFamily Family(const OpEntry (&entries)[count]) {
    return {entries, count};
}

/* No op has an Init: parameters are read where they lie, and only what Prepare finds out takes room in the arena. */
constexpr OpEntry Entry(const char *name, TfLiteStatus (*prepare)(TfLiteContext *, TfLiteNode *),
                        TfLiteStatus (*invoke)(TfLiteContext *, TfLiteNode *)) {
    OpEntry entry = {};
    entry.name = name;
    entry.registration.prepare = prepare;
    entry.registration.invoke = invoke;
    entry.registration.custom_name = name;
    return entry;
}

OpFamily StateOps();
OpFamily ConvolutionOps();
OpFamily GradWeightsOps();
OpFamily ActivationOps();
OpFamily ElementwiseOps();
OpFamily ExpressionOps();
OpFamily WindowOps();
OpFamily LossOps();
OpFamily OptimizerOps();

} // namespace tinytrain

#endif /* TT_OP_TABLE_H */
