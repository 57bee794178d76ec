/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops of two tensors of one size and `active`, with a result of that size. Op tells Params, kCode, kName, kFlags (those
 * besides IN_PLACE), Check (of the parameters, given the number of elements) and Run.
 */
#ifndef TT_PAIRWISE_H
#define TT_PAIRWISE_H

#include "tt_call.h"
#include "tt_op_table.h"

namespace tinytrain {

template <typename Op> TfLiteStatus PreparePairwise(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kName);
    const auto params = p.Read<typename Op::Params>(Op::kCode, Op::kFlags | TT_OP_FLAG_IN_PLACE);
    p.Counts(3, (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? 0 : 1);
    const int32_t n = p.Floats(Input(0), "the first input");
    p.Floats(Input(1), "the second input", n);
    p.Active(2);
    p.Result(params.header, "the result", n);
    Op::Check(p, params, n);
    return p.status();
}

template <typename Op> TfLiteStatus InvokePairwise(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<typename Op::Params>();
    if (call.Runs(params.header, 2)) {
        Op::Run(params, call.In(0), call.In(1), call.Count(Input(0)), call.Result(params.header));
    }
    return kTfLiteOk;
}

template <typename Op> constexpr OpEntry PairwiseEntry() {
    return Entry(Op::kName, PreparePairwise<Op>, InvokePairwise<Op>);
}

} // namespace tinytrain

#endif /* TT_PAIRWISE_H */
