/* SPDX-License-Identifier: Apache-2.0 */
/* A clip of any bounds, the masks that the backward pass needs of it, and the gradients of activations. */
#include "tt_activation.h"

#include <cmath>

#include "tt_call.h"
#include "tt_op_table.h"
#include "tt_pairwise.h"

namespace tinytrain {
namespace {

constexpr uint32_t kBounds = TT_OP_FLAG_LOW | TT_OP_FLAG_HIGH;

struct ClipGrad {
    using Params = tt_op_clip_t;
    static constexpr tt_op_code_t kCode = TT_OP_CLIP_GRAD;
    static constexpr const char *kName = "TT_CLIP_GRAD";
    static constexpr uint32_t kFlags = kBounds;
    static void Check(Preparation &p, const Params &params, int32_t) {
        p.Bounds(params.header, params.low, params.high);
    }
    static void Run(const Params &params, const float *g, const float *y, uint32_t n, float *dx) {
        tt_clip_grad(g, y, n, Low(params), High(params), dx);
    }
};

struct LeakyReluGrad {
    using Params = tt_op_leaky_relu_t;
    static constexpr tt_op_code_t kCode = TT_OP_LEAKY_RELU_GRAD;
    static constexpr const char *kName = "TT_LEAKY_RELU_GRAD";
    static constexpr uint32_t kFlags = 0u;
    static void Check(Preparation &p, const Params &params, int32_t) {
        p.ExpectValue(std::isfinite(params.alpha), "a finite alpha", params.alpha);
    }
    static void Run(const Params &params, const float *g, const float *y, uint32_t n, float *dx) {
        tt_leaky_relu_grad(g, y, n, params.alpha, dx);
    }
};

struct SoftmaxGrad {
    using Params = tt_op_softmax_t;
    static constexpr tt_op_code_t kCode = TT_OP_SOFTMAX_GRAD;
    static constexpr const char *kName = "TT_SOFTMAX_GRAD";
    static constexpr uint32_t kFlags = 0u;
    static void Check(Preparation &p, const Params &params, int32_t n) {
        p.Expect(params.classes >= 1 && n % params.classes == 0, "classes that divide the elements of g",
                 params.classes);
    }
    static void Run(const Params &params, const float *g, const float *y, uint32_t n, float *dx) {
        const auto classes = static_cast<uint32_t>(params.classes);
        tt_softmax_grad(g, y, n / classes, classes, dx);
    }
};

/* A gradient without parameters of its own. */
template <tt_op_code_t code, void (*kernel)(const float *, const float *, uint32_t, float *)> struct Plain {
    using Params = tt_op_plain_t;
    static constexpr tt_op_code_t kCode = code;
    static constexpr uint32_t kFlags = 0u;
    static void Check(Preparation &, const Params &, int32_t) {
    }
    static void Run(const Params &, const float *g, const float *other, uint32_t n, float *dx) {
        kernel(g, other, n, dx);
    }
};

struct SigmoidGrad : Plain<TT_OP_SIGMOID_GRAD, tt_sigmoid_grad> {
    static constexpr const char *kName = "TT_SIGMOID_GRAD";
};
struct TanhGrad : Plain<TT_OP_TANH_GRAD, tt_tanh_grad> {
    static constexpr const char *kName = "TT_TANH_GRAD";
};
struct HardSwishGrad : Plain<TT_OP_HARD_SWISH_GRAD, tt_hard_swish_grad> {
    static constexpr const char *kName = "TT_HARD_SWISH_GRAD";
};

constexpr const char *kClip = "TT_CLIP";

TfLiteStatus PrepareClip(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kClip);
    const auto params = p.Read<tt_op_clip_t>(TT_OP_CLIP, kBounds | TT_OP_FLAG_IN_PLACE);
    const bool in_place = (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u;
    p.Counts(1, in_place ? 0 : 1);
    p.Bounds(params.header, params.low, params.high);
    p.Result(params.header, "y", p.Floats(Input(0), "x"));
    return p.status();
}

TfLiteStatus InvokeClip(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_clip_t>();
    tt_clip(call.In(0), call.Count(Input(0)), Low(params), High(params), call.Result(params.header));
    return kTfLiteOk;
}

constexpr const char *kClipMask = "TT_CLIP_MASK";

int64_t MaskWords(int32_t elements) {
    return tt_mask_words(static_cast<uint32_t>(elements));
}

TfLiteStatus PrepareClipMask(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kClipMask);
    const auto params = p.Read<tt_op_clip_t>(TT_OP_CLIP_MASK, kBounds);
    p.Counts(2, 1);
    p.Bounds(params.header, params.low, params.high);
    const int32_t n = p.Floats(Input(0), "y");
    p.Active(1);
    p.Ints(Output(0), "mask", MaskWords(n));
    p.Writes(Output(0), "mask");
    return p.status();
}

TfLiteStatus InvokeClipMask(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_clip_t>();
    if (call.Runs(params.header, 1)) {
        auto *mask = reinterpret_cast<uint32_t *>(call.IntsOut(0));
        tt_clip_mask(call.In(0), call.Count(Input(0)), Low(params), High(params), mask);
    }
    return kTfLiteOk;
}

constexpr const char *kMaskGrad = "TT_MASK_GRAD";

TfLiteStatus PrepareMaskGrad(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kMaskGrad);
    const auto params = p.Read<tt_op_plain_t>(TT_OP_MASK_GRAD, TT_OP_FLAG_IN_PLACE);
    p.Counts(3, (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? 0 : 1);
    const int32_t n = p.Floats(Input(0), "g");
    p.Ints(Input(1), "mask", MaskWords(n));
    p.Active(2);
    p.Result(params.header, "dx", n);
    return p.status();
}

TfLiteStatus InvokeMaskGrad(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_plain_t>();
    if (call.Runs(params.header, 2)) {
        const auto *mask = reinterpret_cast<const uint32_t *>(call.Ints(1));
        tt_mask_grad(call.In(0), mask, call.Count(Input(0)), call.Result(params.header));
    }
    return kTfLiteOk;
}

constexpr OpEntry kOps[] = {
    PairwiseEntry<ClipGrad>(),
    PairwiseEntry<LeakyReluGrad>(),
    PairwiseEntry<SoftmaxGrad>(),
    PairwiseEntry<SigmoidGrad>(),
    PairwiseEntry<TanhGrad>(),
    PairwiseEntry<HardSwishGrad>(),
    Entry(kClip, PrepareClip, InvokeClip),
    Entry(kClipMask, PrepareClipMask, InvokeClipMask),
    Entry(kMaskGrad, PrepareMaskGrad, InvokeMaskGrad),
};

} // namespace

OpFamily ActivationOps() {
    return Family(kOps);
}

} // namespace tinytrain
