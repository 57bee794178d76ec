/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of pooling, padding and concatenation. */
#include "tt_call.h"
#include "tt_layout.h"
#include "tt_op_table.h"
#include "tt_pool.h"

namespace tinytrain {
namespace {

struct Crop2d {
    static constexpr tt_op_code_t kCode = TT_OP_CROP2D;
    static constexpr const char *kName = "TT_CROP2D";
    static constexpr auto kCheck = tt_window_check_pad;
    static constexpr int kActive = 1;
    static void Run(const tt_window_t &w, const Call &call) {
        tt_crop2d(&w, call.In(0), call.Out(0));
    }
};

struct AvgPoolGrad {
    static constexpr tt_op_code_t kCode = TT_OP_AVG_POOL_GRAD;
    static constexpr const char *kName = "TT_AVG_POOL_GRAD";
    static constexpr auto kCheck = tt_window_check_pool;
    static constexpr int kActive = 1;
    static void Run(const tt_window_t &w, const Call &call) {
        tt_avg_pool_grad(&w, call.In(0), call.Out(0));
    }
};

struct MaxPoolGrad {
    static constexpr tt_op_code_t kCode = TT_OP_MAX_POOL_GRAD;
    static constexpr const char *kName = "TT_MAX_POOL_GRAD";
    static constexpr auto kCheck = tt_window_check_pool;
    static constexpr int kActive = 2; /* after x */
    static void Run(const tt_window_t &w, const Call &call) {
        tt_max_pool_grad(&w, call.In(0), call.In(1), call.Out(0));
    }
};

template <typename Op> TfLiteStatus Prepare(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kName);
    const auto params = p.Read<tt_op_window_t>(Op::kCode, 0u);
    p.Window(params.window, Op::kCheck);
    TF_LITE_ENSURE_STATUS(p.status());
    p.Counts(Op::kActive + 1, 1);
    p.Floats(Input(0), "g", OutputElements(params.window));
    if (Op::kActive == 2) {
        p.Floats(Input(1), "x", InputElements(params.window));
    }
    p.Active(Op::kActive);
    p.Floats(Output(0), "dx", InputElements(params.window));
    p.Writes(Output(0), "dx");
    return p.status();
}

template <typename Op> TfLiteStatus Invoke(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_window_t>();
    if (call.Runs(params.header, Op::kActive)) {
        Op::Run(params.window, call);
    }
    return kTfLiteOk;
}

constexpr const char *kSlice = "TT_SLICE";

TfLiteStatus PrepareSlice(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kSlice);
    const auto params = p.Read<tt_op_slice_t>(TT_OP_SLICE, 0u);
    p.Counts(2, 1);
    const int32_t x = p.Floats(Input(0), "x");
    const int32_t y = p.Floats(Output(0), "y");
    p.Expect(params.outer >= 1 && x % params.outer == 0 && y % params.outer == 0,
             "a size of the outer axes that divides both tensors", params.outer);
    p.Expect(params.offset >= 0 && (!p.ok() || params.offset <= (x - y) / params.outer), "an offset inside x",
             params.offset);
    p.Active(1);
    p.Writes(Output(0), "y");
    return p.status();
}

TfLiteStatus InvokeSlice(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_slice_t>();
    if (call.Runs(params.header, 1)) {
        const auto outer = static_cast<uint32_t>(params.outer);
        tt_slice(call.In(0), outer, call.Count(Input(0)) / outer, static_cast<uint32_t>(params.offset),
                 call.Count(Output(0)) / outer, call.Out(0));
    }
    return kTfLiteOk;
}

template <typename Op> constexpr OpEntry Of() {
    return Entry(Op::kName, Prepare<Op>, Invoke<Op>);
}

constexpr OpEntry kOps[] = {
    Of<Crop2d>(),
    Of<AvgPoolGrad>(),
    Of<MaxPoolGrad>(),
    Entry(kSlice, PrepareSlice, InvokeSlice),
};

} // namespace

OpFamily WindowOps() {
    return Family(kOps);
}

} // namespace tinytrain
