/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of the chosen rows from a gradient that has been formed before. */
#include "tt_optimizer.h"

#include <cmath>

#include "tt_candidate.h"
#include "tt_op_table.h"
#include "tt_rate.h"

namespace tinytrain {

TfLiteStatus ReadRate(const Call &call, const char *name, int index, float fallback, float *rate) {
    const float received = call.In(index)[0];
    if (!(std::isfinite(received) && received >= 0.0f)) {
        TF_LITE_KERNEL_LOG(call.context(), "%s: expected a finite learning rate of at least 0, received %f", name,
                           static_cast<double>(received));
        return kTfLiteError;
    }
    *rate = received == 0.0f && !std::signbit(received) ? fallback : std::fabs(received);
    return kTfLiteOk;
}

namespace {

/* Places of the inputs after the gradient, if that is an input. */
struct Inputs {
    int pool;
    int choice;
    int rate;
    int control;
    int updating;
};

Inputs InputsOf(const tt_op_optimizer_t &params) {
    const int first = params.block == TT_OP_NO_BLOCK ? 1 : 0;
    return {first, first + 1, first + 2, first + 3, first + 4};
}

/* Rows and state of one candidate, each of count floats; moments that an optimiser lacks are not used. */
struct Update {
    float *row;
    float *first_moment;
    float *second_moment;
    const float *gradient;
    uint32_t count;
    float rate;
    float step; /* number of this update, from 1 */
};

struct Sgd {
    static constexpr tt_op_code_t kCode = TT_OP_SGD;
    static constexpr const char *kName = "TT_SGD";
    static constexpr int32_t kMoments = 0;
    static void Check(Preparation &, const tt_op_optimizer_t &) {
    }
    static void Run(const tt_op_optimizer_t &, const Update &u) {
        tt_sgd_update(u.row, u.gradient, u.count, &u.rate);
    }
};

void CheckDecay(Preparation &p, const char *what, float value) {
    p.ExpectValue(value >= 0.0f && value < 1.0f, what, value);
}

struct Momentum {
    static constexpr tt_op_code_t kCode = TT_OP_MOMENTUM;
    static constexpr const char *kName = "TT_MOMENTUM";
    static constexpr int32_t kMoments = 1;
    static void Check(Preparation &p, const tt_op_optimizer_t &params) {
        CheckDecay(p, "a momentum in [0, 1)", params.momentum);
    }
    static void Run(const tt_op_optimizer_t &params, const Update &u) {
        const float hyper[] = {u.rate, params.momentum};
        tt_momentum_update(u.row, u.first_moment, u.gradient, u.count, hyper);
    }
};

struct Adam {
    static constexpr tt_op_code_t kCode = TT_OP_ADAM;
    static constexpr const char *kName = "TT_ADAM";
    static constexpr int32_t kMoments = 2;
    static void Check(Preparation &p, const tt_op_optimizer_t &params) {
        CheckDecay(p, "a beta_1 in [0, 1)", params.beta_1);
        CheckDecay(p, "a beta_2 in [0, 1)", params.beta_2);
        p.ExpectValue(std::isfinite(params.epsilon) && params.epsilon > 0.0f, "a finite epsilon above 0",
                      params.epsilon);
    }
    static void Run(const tt_op_optimizer_t &params, const Update &u) {
        const float hyper[TT_ADAM_ELEMENTS] = {u.rate,
                                               params.beta_1,
                                               params.beta_2,
                                               params.epsilon,
                                               std::pow(params.beta_1, u.step),
                                               std::pow(params.beta_2, u.step)};
        tt_adam_update(u.row, u.first_moment, u.second_moment, u.gradient, u.count, hyper);
    }
};

Layer LayerOf(const tt_op_optimizer_t &params) {
    /* The parameters name no window: the length of a row follows from its stride, whatever its padding. */
    return {params.channels, params.stride - 2, params.stride, params.candidate, params.copies};
}

template <typename Op> TfLiteStatus Prepare(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, Op::kName);
    const auto params = p.Read<tt_op_optimizer_t>(Op::kCode, 0u);
    p.Expect(params.stride >= 2 && params.stride <= INT32_MAX / 4 && params.stride % 2 == 0, "an even stride",
             params.stride);
    p.Expect(params.copies >= 1 + Op::kMoments, "a copy for the rows and for each moment", params.copies);
    p.Expect(params.block == TT_OP_NO_BLOCK || (params.block > Op::kMoments && params.block < params.copies),
             "a block of gradients after the moments", params.block);
    p.ExpectValue(std::isfinite(params.learning_rate) && params.learning_rate >= 0.0f,
                  "a finite learning rate of at least 0", params.learning_rate);
    Op::Check(p, params);
    TF_LITE_ENSURE_STATUS(p.status());

    const Layer layer = LayerOf(params);
    const Inputs in = InputsOf(params);
    int32_t trained;
    CheckLayer(p, layer, false);
    p.Counts(in.updating + 1, 0);
    CheckChoice(p, layer, in.pool, in.choice, &trained);
    p.Writes(Input(in.pool), "pool");
    if (params.block == TT_OP_NO_BLOCK) {
        p.Expect(trained > 0, "a constant choice of at least one channel for a gradient in a tensor of its own",
                 trained);
        p.Floats(Input(0), "gradient", int64_t{trained} * layer.stride);
    }
    p.Floats(Input(in.rate), "rate", 1);
    p.Ints(Input(in.control), "control", TT_CONTROL_WORDS);
    p.Active(in.updating);
    return p.status();
}

template <typename Op> TfLiteStatus Invoke(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_optimizer_t>();
    const Inputs in = InputsOf(params);
    const int32_t *control = call.Ints(in.control);
    if (!call.Runs(params.header, in.updating)) {
        return kTfLiteOk;
    }
    const Layer layer = LayerOf(params);
    Candidate candidate;
    Update update;
    TF_LITE_ENSURE_STATUS(ReadCandidate(call, Op::kName, layer, in.pool, in.choice, &candidate));
    TF_LITE_ENSURE_STATUS(ReadRate(call, Op::kName, in.rate, params.learning_rate, &update.rate));
    const bool accumulated = params.block != TT_OP_NO_BLOCK;
    update.count = candidate.trained * static_cast<uint32_t>(layer.stride);
    if (!accumulated && update.count != call.Count(Input(0))) {
        TF_LITE_KERNEL_LOG(context, "%s: expected the choice that Prepare saw, received another", Op::kName);
        return kTfLiteError;
    }
    float *gradient = accumulated ? candidate.Block(layer, params.block) : nullptr;
    update.row = candidate.Block(layer, 0);
    update.first_moment = Op::kMoments > 0 ? candidate.Block(layer, 1) : nullptr;
    update.second_moment = Op::kMoments > 1 ? candidate.Block(layer, 2) : nullptr;
    update.gradient = accumulated ? gradient : call.In(0);
    update.step = static_cast<float>(control[TT_CONTROL_STEPS]) + 1.0f;
    Op::Run(params, update);
    if (accumulated) {
        std::memset(gradient, 0, update.count * sizeof(float));
    }
    return kTfLiteOk;
}

template <typename Op> constexpr OpEntry Of() {
    return Entry(Op::kName, Prepare<Op>, Invoke<Op>);
}

constexpr OpEntry kOps[] = {Of<Sgd>(), Of<Momentum>(), Of<Adam>()};

} // namespace

OpFamily OptimizerOps() {
    return Family(kOps);
}

} // namespace tinytrain
