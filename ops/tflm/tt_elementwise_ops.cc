/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, products and copies of the backward pass, and the sums that Fisher potentials are made of. */
#include "tt_elementwise.h"

#include "tt_call.h"
#include "tt_fisher.h"
#include "tt_op_table.h"
#include "tt_pairwise.h"

namespace tinytrain {
namespace {

struct Add {
    using Params = tt_op_plain_t;
    static constexpr tt_op_code_t kCode = TT_OP_ADD;
    static constexpr const char *kName = "TT_ADD";
    static constexpr uint32_t kFlags = 0u;
    static void Check(Preparation &, const Params &, int32_t) {
    }
    static void Run(const Params &, const float *a, const float *b, uint32_t n, float *y) {
        if (y != a) {
            std::memcpy(y, a, n * sizeof(float));
        }
        tt_add_to(b, n, y);
    }
};

struct Multiply {
    using Params = tt_op_plain_t;
    static constexpr tt_op_code_t kCode = TT_OP_MULTIPLY;
    static constexpr const char *kName = "TT_MULTIPLY";
    static constexpr uint32_t kFlags = 0u;
    static void Check(Preparation &, const Params &, int32_t) {
    }
    static void Run(const Params &, const float *a, const float *b, uint32_t n, float *y) {
        tt_multiply(a, b, n, y);
    }
};

constexpr const char *kAccumulate = "TT_ACCUMULATE";

TfLiteStatus PrepareAccumulate(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kAccumulate);
    (void)p.Read<tt_op_plain_t>(TT_OP_ACCUMULATE, 0u);
    p.Counts(3, 0);
    p.Floats(Input(1), "acc", p.Floats(Input(0), "g"));
    p.Writes(Input(1), "acc");
    p.Active(2);
    return p.status();
}

TfLiteStatus InvokeAccumulate(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    if (call.Runs(call.Read<tt_op_plain_t>().header, 2)) {
        tt_add_to(call.In(0), call.Count(Input(0)), call.InOut(1));
    }
    return kTfLiteOk;
}

constexpr const char *kCopy = "TT_COPY";

TfLiteStatus PrepareCopy(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kCopy);
    (void)p.Read<tt_op_plain_t>(TT_OP_COPY, 0u);
    p.Counts(2, 1);
    p.Floats(Output(0), "y", p.Floats(Input(0), "x"));
    p.Writes(Output(0), "y");
    p.Active(1);
    return p.status();
}

TfLiteStatus InvokeCopy(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    if (call.Runs(call.Read<tt_op_plain_t>().header, 1)) {
        std::memcpy(call.Out(0), call.In(0), call.Count(Input(0)) * sizeof(float));
    }
    return kTfLiteOk;
}

/* Tensors [positions][channels] beside one of [channels]; returns the number of channels. */
int32_t PrepareChannels(Preparation &p, const char *what, Place whole, Place per_channel) {
    const int32_t n = p.Floats(whole, what);
    const int32_t channels = p.Floats(per_channel, "the tensor with one value per channel");
    p.Expect(channels > 0 && n % channels == 0, "a number of channels that divides the elements", channels);
    return channels;
}

constexpr const char *kMultiplyChannel = "TT_MULTIPLY_CHANNEL";

TfLiteStatus PrepareMultiplyChannel(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kMultiplyChannel);
    const auto params = p.Read<tt_op_plain_t>(TT_OP_MULTIPLY_CHANNEL, TT_OP_FLAG_IN_PLACE);
    p.Counts(3, (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? 0 : 1);
    PrepareChannels(p, "x", Input(0), Input(1));
    p.Active(2);
    p.Result(params.header, "y", p.Floats(Input(0), "x"));
    return p.status();
}

TfLiteStatus InvokeMultiplyChannel(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_plain_t>();
    if (call.Runs(params.header, 2)) {
        const uint32_t channels = call.Count(Input(1));
        tt_multiply_channel(call.In(0), call.In(1), call.Count(Input(0)) / channels, channels,
                            call.Result(params.header));
    }
    return kTfLiteOk;
}

constexpr const char *kChannelDot = "TT_CHANNEL_DOT";

TfLiteStatus PrepareChannelDot(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kChannelDot);
    (void)p.Read<tt_op_plain_t>(TT_OP_CHANNEL_DOT, 0u);
    p.Counts(3, 1);
    PrepareChannels(p, "a", Input(0), Output(0));
    p.Floats(Input(1), "b", p.Floats(Input(0), "a"));
    p.Active(2);
    p.Writes(Output(0), "y");
    return p.status();
}

TfLiteStatus InvokeChannelDot(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    if (call.Runs(call.Read<tt_op_plain_t>().header, 2)) {
        const uint32_t channels = call.Count(Output(0));
        tt_channel_dot(call.In(0), call.In(1), call.Count(Input(0)) / channels, channels, call.Out(0));
    }
    return kTfLiteOk;
}

constexpr const char *kAffine = "TT_AFFINE";

TfLiteStatus PrepareAffine(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kAffine);
    const auto params = p.Read<tt_op_plain_t>(TT_OP_AFFINE, TT_OP_FLAG_IN_PLACE);
    p.Counts(3, (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? 0 : 1);
    p.Floats(Input(2), "shift", PrepareChannels(p, "x", Input(0), Input(1)));
    p.Result(params.header, "y", p.Floats(Input(0), "x"));
    return p.status();
}

TfLiteStatus InvokeAffine(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_plain_t>();
    const uint32_t channels = call.Count(Input(1));
    tt_affine(call.In(0), call.In(1), call.In(2), call.Count(Input(0)) / channels, channels,
              call.Result(params.header));
    return kTfLiteOk;
}

constexpr const char *kFisherPotential = "TT_FISHER_POTENTIAL";

TfLiteStatus PrepareFisherPotential(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kFisherPotential);
    (void)p.Read<tt_op_plain_t>(TT_OP_FISHER_POTENTIAL, 0u);
    p.Counts(4, 0);
    PrepareChannels(p, "a", Input(0), Input(2));
    p.Floats(Input(1), "g", p.Floats(Input(0), "a"));
    p.Writes(Input(2), "potential");
    p.Active(3);
    return p.status();
}

TfLiteStatus InvokeFisherPotential(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    if (call.Runs(call.Read<tt_op_plain_t>().header, 3)) {
        const uint32_t channels = call.Count(Input(2));
        tt_fisher_add(call.In(0), call.In(1), call.Count(Input(0)) / channels, channels, call.InOut(2));
    }
    return kTfLiteOk;
}

constexpr OpEntry kOps[] = {
    PairwiseEntry<Add>(),
    PairwiseEntry<Multiply>(),
    Entry(kAccumulate, PrepareAccumulate, InvokeAccumulate),
    Entry(kCopy, PrepareCopy, InvokeCopy),
    Entry(kMultiplyChannel, PrepareMultiplyChannel, InvokeMultiplyChannel),
    Entry(kChannelDot, PrepareChannelDot, InvokeChannelDot),
    Entry(kAffine, PrepareAffine, InvokeAffine),
    Entry(kFisherPotential, PrepareFisherPotential, InvokeFisherPotential),
};

} // namespace

OpFamily ElementwiseOps() {
    return Family(kOps);
}

} // namespace tinytrain
