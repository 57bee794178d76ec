/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions whose rows may be trained, and the gradients with respect to their inputs. */
#include "tt_candidate.h"
#include "tt_conv2d.h"
#include "tt_depthwise_conv2d.h"
#include "tt_op_table.h"

namespace tinytrain {
namespace {

/* Indices of scratch buffers; those that an op does not ask for stay unused. */
struct Scratch {
    int slots;
    int packed;
};

Layer LayerOf(const tt_op_weighted_t &params, bool depthwise) {
    const tt_window_t &w = params.window;
    return {w.O, w.kh * w.kw * (depthwise ? 1 : w.C), params.stride, params.candidate, params.copies};
}

/* Rows, and the scratch to bring them into the layout of the kernels. */
void PrepareRows(Preparation &p, const tt_op_weighted_t &params, bool depthwise, int first) {
    const Layer layer = LayerOf(params, depthwise);
    CheckLayer(p, layer, true);
    CheckRows(p, layer, first);
    Scratch *scratch = p.ok() && layer.candidate != TT_OP_FROZEN ? p.Keep<Scratch>() : nullptr;
    if (scratch == nullptr) {
        return;
    }
    p.Scratch(RowScratchBytes(layer), &scratch->slots);
    if (depthwise) {
        p.Scratch(tt_depthwise_packed_bytes(&params.window), &scratch->packed);
    }
}

/* The weights as the kernels take them: rows, and in packed those of a depthwise convolution. */
struct Weights {
    tt_rows_t rows;
    const float *packed;
};

TfLiteStatus ReadWeights(const Call &call, const char *name, const tt_op_weighted_t &params, bool depthwise, int first,
                         Weights *weights) {
    const Layer layer = LayerOf(params, depthwise);
    if (layer.candidate == TT_OP_FROZEN) {
        weights->packed = call.In(first);
        return BuildRows(call, name, layer, first, nullptr, &weights->rows);
    }
    TfLiteContext *context = call.context();
    const auto *scratch = static_cast<const Scratch *>(call.node()->user_data);
    void *slots = context->GetScratchBuffer(context, scratch->slots);
    TF_LITE_ENSURE_STATUS(BuildRows(call, name, layer, first, slots, &weights->rows));
    if (depthwise) {
        auto *packed = static_cast<float *>(context->GetScratchBuffer(context, scratch->packed));
        const uint32_t bytes = tt_depthwise_packed_bytes(&params.window);
        if (tt_depthwise_pack_rows(&params.window, &weights->rows, packed, bytes) != TT_OK) {
            return kTfLiteError;
        }
        weights->packed = packed;
    }
    return kTfLiteOk;
}

struct Conv2D {
    static constexpr bool kDepthwise = false;
    static constexpr auto kCheck = tt_window_check;
    static constexpr tt_op_code_t kForward = TT_OP_CONV2D;
    static constexpr tt_op_code_t kGradInput = TT_OP_CONV2D_GRAD_INPUT;
    static constexpr const char *kForwardName = "TT_CONV2D";
    static constexpr const char *kGradInputName = "TT_CONV2D_GRAD_INPUT";

    static void Forward(const tt_window_t &window, const float *x, const Weights &weights, const float *bias, float low,
                        float high, float *y) {
        tt_conv2d(&window, x, &weights.rows, bias, low, high, y);
    }
    static void GradInput(const tt_window_t &window, const float *g, const Weights &weights, bool accumulate,
                          float *dx) {
        tt_conv2d_grad_input(&window, g, &weights.rows, accumulate, dx);
    }
};

struct DepthwiseConv2D {
    static constexpr bool kDepthwise = true;
    static constexpr auto kCheck = tt_window_check_depthwise;
    static constexpr tt_op_code_t kForward = TT_OP_DEPTHWISE_CONV2D;
    static constexpr tt_op_code_t kGradInput = TT_OP_DEPTHWISE_CONV2D_GRAD_INPUT;
    static constexpr const char *kForwardName = "TT_DEPTHWISE_CONV2D";
    static constexpr const char *kGradInputName = "TT_DEPTHWISE_CONV2D_GRAD_INPUT";

    static void Forward(const tt_window_t &window, const float *x, const Weights &weights, const float *bias, float low,
                        float high, float *y) {
        tt_depthwise_conv2d(&window, x, weights.packed, bias, low, high, y);
    }
    static void GradInput(const tt_window_t &window, const float *g, const Weights &weights, bool accumulate,
                          float *dx) {
        tt_depthwise_conv2d_grad_input(&window, g, weights.packed, accumulate, dx);
    }
};

template <typename Op> TfLiteStatus PrepareForward(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kForwardName);
    const auto params = p.Read<tt_op_weighted_t>(Op::kForward, TT_OP_FLAG_LOW | TT_OP_FLAG_HIGH);
    p.Window(params.window, Op::kCheck);
    TF_LITE_ENSURE_STATUS(p.status());
    const bool frozen = params.candidate == TT_OP_FROZEN;
    p.Counts(frozen ? 3 : 4, 1);
    p.Bounds(params.header, params.low, params.high);
    p.Floats(Input(0), "x", InputElements(params.window));
    PrepareRows(p, params, Op::kDepthwise, 1);
    if (frozen) {
        p.Floats(Input(2), "bias", params.window.O);
    }
    p.Floats(Output(0), "y", OutputElements(params.window));
    p.Writes(Output(0), "y");
    return p.status();
}

template <typename Op> TfLiteStatus InvokeForward(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_weighted_t>();
    Weights weights;
    TF_LITE_ENSURE_STATUS(ReadWeights(call, Op::kForwardName, params, Op::kDepthwise, 1, &weights));
    const float *bias = params.candidate == TT_OP_FROZEN ? call.In(2) : nullptr;
    Op::Forward(params.window, call.In(0), weights, bias, Low(params), High(params), call.Out(0));
    return kTfLiteOk;
}

template <typename Op> TfLiteStatus PrepareGradInput(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kGradInputName);
    const auto params = p.Read<tt_op_weighted_t>(Op::kGradInput, TT_OP_FLAG_ACCUMULATE);
    p.Window(params.window, Op::kCheck);
    TF_LITE_ENSURE_STATUS(p.status());
    const bool accumulate = (params.header.flags & TT_OP_FLAG_ACCUMULATE) != 0u;
    const int after_rows = 1 + RowInputs(LayerOf(params, Op::kDepthwise));
    p.Counts(after_rows + (accumulate ? 2 : 1), accumulate ? 0 : 1);
    p.Floats(Input(0), "g", OutputElements(params.window));
    PrepareRows(p, params, Op::kDepthwise, 1);
    const Place dx = accumulate ? Input(after_rows) : Output(0);
    p.Floats(dx, "dx", InputElements(params.window));
    p.Writes(dx, "dx");
    p.Active(after_rows + (accumulate ? 1 : 0));
    return p.status();
}

template <typename Op> TfLiteStatus InvokeGradInput(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_weighted_t>();
    const bool accumulate = (params.header.flags & TT_OP_FLAG_ACCUMULATE) != 0u;
    const int after_rows = 1 + RowInputs(LayerOf(params, Op::kDepthwise));
    if (!call.Runs(params.header, after_rows + (accumulate ? 1 : 0))) {
        return kTfLiteOk;
    }
    Weights weights;
    TF_LITE_ENSURE_STATUS(ReadWeights(call, Op::kGradInputName, params, Op::kDepthwise, 1, &weights));
    Op::GradInput(params.window, call.In(0), weights, accumulate, accumulate ? call.InOut(after_rows) : call.Out(0));
    return kTfLiteOk;
}

template <typename Op> constexpr OpEntry Forward() {
    return Entry(Op::kForwardName, PrepareForward<Op>, InvokeForward<Op>);
}

template <typename Op> constexpr OpEntry GradInput() {
    return Entry(Op::kGradInputName, PrepareGradInput<Op>, InvokeGradInput<Op>);
}

constexpr OpEntry kOps[] = {Forward<Conv2D>(), GradInput<Conv2D>(), Forward<DepthwiseConv2D>(),
                            GradInput<DepthwiseConv2D>()};

} // namespace

OpFamily ConvolutionOps() {
    return Family(kOps);
}

} // namespace tinytrain
