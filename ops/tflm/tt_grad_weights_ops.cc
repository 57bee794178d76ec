/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients with respect to the chosen rows of convolutions, written, added up, or applied at once. */
#include <cmath>

#include "tt_candidate.h"
#include "tt_conv2d.h"
#include "tt_depthwise_conv2d.h"
#include "tt_op_table.h"
#include "tt_rate.h"

namespace tinytrain {
namespace {

constexpr uint32_t kFlags = TT_OP_FLAG_BIAS | TT_OP_FLAG_WEIGHTS | TT_OP_FLAG_ACCUMULATE | TT_OP_FLAG_RATE;
constexpr int kX = 0;
constexpr int kG = 1;
constexpr int kPool = 2;
constexpr int kChoice = 3;
constexpr int kRate = 4; /* with TT_OP_FLAG_RATE */

/* Index of the scratch buffer of the channel list. */
struct Scratch {
    int channels;
};

int ActiveInput(const tt_op_grad_weights_t &params) {
    return (params.header.flags & TT_OP_FLAG_RATE) != 0u ? kRate + 1 : kRate;
}

uint32_t Parts(uint32_t flags) {
    return ((flags & TT_OP_FLAG_WEIGHTS) != 0u ? TT_GRADIENT_WEIGHTS : 0u) |
           ((flags & TT_OP_FLAG_BIAS) != 0u ? TT_GRADIENT_BIAS : 0u) |
           ((flags & TT_OP_FLAG_ACCUMULATE) != 0u ? TT_GRADIENT_ACCUMULATE : 0u);
}

struct Conv2D {
    static constexpr auto kCheck = tt_window_check;
    static constexpr tt_op_code_t kCode = TT_OP_CONV2D_GRAD_WEIGHTS;
    static constexpr const char *kName = "TT_CONV2D_GRAD_WEIGHTS";
    static constexpr auto kKernel = tt_conv2d_grad_weights;
    static int32_t RowLength(const tt_window_t &w) {
        return w.kh * w.kw * w.C;
    }
};

struct DepthwiseConv2D {
    static constexpr auto kCheck = tt_window_check_depthwise;
    static constexpr tt_op_code_t kCode = TT_OP_DEPTHWISE_CONV2D_GRAD_WEIGHTS;
    static constexpr const char *kName = "TT_DEPTHWISE_CONV2D_GRAD_WEIGHTS";
    static constexpr auto kKernel = tt_depthwise_conv2d_grad_weights;
    static int32_t RowLength(const tt_window_t &w) {
        return w.kh * w.kw;
    }
};

template <typename Op> Layer LayerOf(const tt_op_grad_weights_t &params) {
    return {params.window.O, Op::RowLength(params.window), params.stride, params.candidate, params.copies};
}

template <typename Op> TfLiteStatus Prepare(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kName);
    const auto params = p.Read<tt_op_grad_weights_t>(Op::kCode, kFlags);
    p.Window(params.window, Op::kCheck);
    TF_LITE_ENSURE_STATUS(p.status());

    const uint32_t flags = params.header.flags;
    const bool output = params.block == TT_OP_NO_BLOCK;
    p.Expect((flags & (TT_OP_FLAG_BIAS | TT_OP_FLAG_WEIGHTS)) != 0u, "the flag BIAS or WEIGHTS", int64_t{flags});
    p.ExpectValue(std::isfinite(params.scale), "a finite scale", params.scale);
    p.Expect(params.block >= TT_OP_NO_BLOCK && params.block < params.copies, "a block of the candidate's copies",
             params.block);
    constexpr uint32_t step = TT_OP_FLAG_ACCUMULATE | TT_OP_FLAG_RATE;
    p.Expect(params.block != 0 || (flags & step) == step, "the flags ACCUMULATE and RATE for block 0, the rows",
             int64_t{flags});
    p.Expect(!output || (flags & TT_OP_FLAG_ACCUMULATE) == 0u, "no flag ACCUMULATE with an output", int64_t{flags});

    const Layer layer = LayerOf<Op>(params);
    int32_t trained;
    p.Counts(ActiveInput(params) + 1, output ? 1 : 0);
    CheckLayer(p, layer, false);
    if ((flags & TT_OP_FLAG_WEIGHTS) != 0u) {
        p.Floats(Input(kX), "x", InputElements(params.window));
    } else {
        p.Floats(Input(kX), "x");
    }
    p.Floats(Input(kG), "g", OutputElements(params.window));
    CheckChoice(p, layer, kPool, kChoice, &trained);
    if ((flags & TT_OP_FLAG_RATE) != 0u) {
        p.Floats(Input(kRate), "rate", 1);
    }
    p.Active(ActiveInput(params));
    if (output) {
        p.Expect(trained > 0, "a constant choice of at least one channel for a gradient in a tensor of its own",
                 trained);
        p.Floats(Output(0), "d", int64_t{trained} * layer.stride);
        p.Writes(Output(0), "d");
    } else {
        p.Writes(Input(kPool), "pool");
    }
    Scratch *scratch = p.ok() ? p.Keep<Scratch>() : nullptr;
    if (scratch != nullptr) {
        p.Scratch(sizeof(uint16_t) * static_cast<size_t>(layer.channels), &scratch->channels);
    }
    return p.status();
}

template <typename Op> TfLiteStatus Invoke(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_grad_weights_t>();
    if (!call.Runs(params.header, ActiveInput(params))) {
        return kTfLiteOk;
    }
    const Layer layer = LayerOf<Op>(params);
    Candidate candidate;
    TF_LITE_ENSURE_STATUS(ReadCandidate(call, Op::kName, layer, kPool, kChoice, &candidate));
    float scale = params.scale;
    if ((params.header.flags & TT_OP_FLAG_RATE) != 0u) {
        TF_LITE_ENSURE_STATUS(ReadRate(call, Op::kName, kRate, params.scale, &scale));
        scale = -scale;
    }
    float *d;
    if (params.block == TT_OP_NO_BLOCK) {
        d = call.Out(0);
        const uint32_t floats = candidate.trained * static_cast<uint32_t>(layer.stride);
        if (floats != call.Count(Output(0))) {
            TF_LITE_KERNEL_LOG(context, "%s: expected the choice that Prepare saw, received another", Op::kName);
            return kTfLiteError;
        }
    } else {
        d = candidate.Block(layer, params.block);
    }
    const auto *scratch = static_cast<const Scratch *>(node->user_data);
    auto *channels = static_cast<uint16_t *>(context->GetScratchBuffer(context, scratch->channels));
    CopyChannels(candidate, channels);
    const tt_rows_t rows = {nullptr,          nullptr, nullptr, channels, static_cast<uint32_t>(layer.stride),
                            candidate.trained};
    Op::kKernel(&params.window, call.In(kX), call.In(kG), &rows, scale, Parts(params.header.flags), d);
    return kTfLiteOk;
}

constexpr OpEntry kOps[] = {
    Entry(Conv2D::kName, Prepare<Conv2D>, Invoke<Conv2D>),
    Entry(DepthwiseConv2D::kName, Prepare<DepthwiseConv2D>, Invoke<DepthwiseConv2D>),
};

} // namespace

OpFamily GradWeightsOps() {
    return Family(kOps);
}

} // namespace tinytrain
