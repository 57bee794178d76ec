/* SPDX-License-Identifier: Apache-2.0 */
/* The losses, which also form the scores and enroll samples. */
#include "tt_loss.h"

#include <cfloat>
#include <cmath>

#include "tt_build_losses.h"
#include "tt_call.h"
#include "tt_finite.h"
#include "tt_op_table.h"
#include "tt_prototype.h"

namespace tinytrain {
namespace {

constexpr int kValues = 0; /* logits or embedding */
constexpr int kLabel = 1;
constexpr int kCommand = 2;
constexpr int kSums = 3;
constexpr int kCounts = 4;
constexpr int kSeed = 5;

TfLiteStatus Report(TfLiteContext *context, const char *name, tt_status_t status) {
    if (status != TT_OK) {
        TF_LITE_KERNEL_LOG(context, "%s: %s", name, tt_status_text(status));
        return kTfLiteError;
    }
    return kTfLiteOk;
}

bool WantsLoss(int32_t command) {
    return command == TT_COMMAND_TRAIN || command == TT_COMMAND_FISHER;
}

uint32_t Unsigned(int32_t value) {
    return static_cast<uint32_t>(value);
}

constexpr const char *kSoftmaxName = "TT_SOFTMAX_CROSS_ENTROPY";

TfLiteStatus PrepareSoftmax(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kSoftmaxName);
    const auto params = p.Read<tt_op_loss_t>(TT_OP_SOFTMAX_CROSS_ENTROPY, TT_OP_FLAG_IN_PLACE);
    const bool in_place = (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u;
    p.Counts(3, in_place ? 1 : 2);
    p.Expect(params.classes >= 1, "at least one class", params.classes);
    p.Expect(params.elements == params.classes, "one logit for each class", params.elements);
    p.Expect(params.batch_size >= 1, "a batch of at least one sample", params.batch_size);
    p.Floats(Input(kValues), "logits", params.classes);
    p.Ints(Input(kLabel), "label", 1);
    p.Ints(Input(kCommand), "command", 1);
    p.Floats(Output(0), "loss", 1);
    p.Writes(Output(0), "loss");
    const Place g = in_place ? Input(kValues) : Output(1);
    p.Floats(g, "g", params.classes);
    p.Writes(g, "g");
    return p.status();
}

TfLiteStatus InvokeSoftmax(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_loss_t>();
    float *loss = call.Out(0);
    *loss = NAN;
    if (!WantsLoss(call.Ints(kCommand)[0])) {
        return kTfLiteOk;
    }
    float *g = (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? call.InOut(kValues) : call.Out(1);
    const tt_status_t status =
        tt_softmax_cross_entropy(call.In(kValues), Unsigned(params.classes), Unsigned(call.Ints(kLabel)[0]), g, loss);
    return Report(context, kSoftmaxName, status);
}

constexpr const char *kPrototypeName = "TT_PROTOTYPE_LOSS";

TfLiteStatus PreparePrototype(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kPrototypeName);
    const auto params = p.Read<tt_op_loss_t>(TT_OP_PROTOTYPE_LOSS, TT_OP_FLAG_SEED);
    const bool seed = (params.header.flags & TT_OP_FLAG_SEED) != 0u;
    p.Counts(seed ? 6 : 5, 3);
    p.Expect(params.classes >= 1, "at least one class", params.classes);
    p.Expect(params.elements >= 1, "an embedding of at least one element", params.elements);
    p.Expect(params.batch_size >= 1, "a batch of at least one sample", params.batch_size);
    p.ExpectValue(std::isfinite(params.temperature) && params.temperature > 0.0f, "a finite temperature above 0",
                  params.temperature);
    p.Floats(Input(kValues), "embedding", params.elements);
    p.Ints(Input(kLabel), "label", 1);
    p.Ints(Input(kCommand), "command", 1);
    p.Floats(Input(kSums), "sums", int64_t{params.classes} * params.elements);
    p.Writes(Input(kSums), "sums");
    p.Ints(Input(kCounts), "counts", params.classes);
    p.Writes(Input(kCounts), "counts");
    if (seed) {
        p.Floats(Input(kSeed), "seed", params.elements);
    }
    p.Floats(Output(0), "loss", 1);
    p.Writes(Output(0), "loss");
    p.Floats(Output(1), "scores", params.classes);
    p.Writes(Output(1), "scores");
    p.Floats(Output(2), "g", params.elements);
    p.Writes(Output(2), "g");
    return p.status();
}

/* The gradient with respect to the embedding as the caller has it. */
tt_status_t CopySeed(const float *seed, const tt_op_loss_t &params, float *g) {
    if (!tt_all_finite(seed, Unsigned(params.elements))) {
        return TT_ERROR_NOT_FINITE;
    }
    for (int32_t i = 0; i < params.elements; ++i) {
        g[i] = static_cast<float>(params.batch_size) * seed[i];
    }
    return TT_OK;
}

TfLiteStatus InvokePrototype(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_loss_t>();
    const tt_prototypes_t prototypes = {call.InOut(kSums), reinterpret_cast<uint32_t *>(call.IntsInOut(kCounts)),
                                        Unsigned(params.classes), Unsigned(params.elements), params.temperature};
    const float *embedding = call.In(kValues);
    const int32_t command = call.Ints(kCommand)[0];
    const uint32_t label = Unsigned(call.Ints(kLabel)[0]);
    float *loss = call.Out(0);
    float *scores = call.Out(1);
    *loss = NAN;
    tt_status_t status = TT_OK;
    if (command == TT_COMMAND_ENROLL) {
        status = tt_prototypes_enroll(&prototypes, embedding, label);
    } else if (WantsLoss(command)) {
        status = tt_prototypes_loss(&prototypes, embedding, label, scores, call.Out(2), loss);
    } else if (command == TT_COMMAND_ACCUMULATE && (params.header.flags & TT_OP_FLAG_SEED) != 0u) {
        status = CopySeed(call.In(kSeed), params, call.Out(2));
    }
    const bool enrolled = command == TT_COMMAND_ENROLL && status == TT_OK;
    const bool scored = command != TT_COMMAND_UPDATE;
    if (status == TT_OK && scored) {
        status = tt_prototypes_scores(&prototypes, embedding, scores);
    }
    /* A sample that has been added is not refused any more: whoever asks for its scores next is told. */
    const bool added = enrolled && status == TT_ERROR_NOT_FINITE;
    if (!scored || added || (status == TT_ERROR_NOT_ENROLLED && !WantsLoss(command))) {
        for (int32_t c = 0; c < params.classes; ++c) {
            scores[c] = -FLT_MAX;
        }
        status = TT_OK;
    }
    return Report(context, kPrototypeName, status);
}

constexpr const char *kLossName = "TT_LOSS";

TfLiteStatus PrepareLoss(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kLossName);
    const auto params = p.Read<tt_op_build_loss_t>(TT_OP_LOSS, TT_OP_FLAG_IN_PLACE | TT_OP_FLAG_VECTOR);
    const bool in_place = (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u;
    p.Counts(3, in_place ? 1 : 2);
    p.Expect(params.elements >= 1, "an output of at least one element", params.elements);
    p.Expect(params.label_elements >= 1, "a label of at least one element", params.label_elements);
    p.Floats(Input(kValues), "output", params.elements);
    if ((params.header.flags & TT_OP_FLAG_VECTOR) != 0u) {
        p.Floats(Input(kLabel), "label", params.label_elements);
    } else {
        p.Ints(Input(kLabel), "label", 1);
    }
    p.Ints(Input(kCommand), "command", 1);
    p.Floats(Output(0), "loss", 1);
    p.Writes(Output(0), "loss");
    const Place g = in_place ? Input(kValues) : Output(1);
    p.Floats(g, "g", params.elements);
    p.Writes(g, "g");
    return p.status();
}

/* The loss of that id, with the function for that kind of label; NULL where the build has none. */
const tt_build_loss_t *FindLoss(int32_t id, bool vector) {
    for (const tt_build_loss_t *at = tt_build_losses();
         at != nullptr && (at->of_class != nullptr || at->of_vector != nullptr); ++at) {
        if (at->id == id && (vector ? at->of_vector != nullptr : at->of_class != nullptr)) {
            return at;
        }
    }
    return nullptr;
}

TfLiteStatus InvokeLoss(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_build_loss_t>();
    float *loss = call.Out(0);
    *loss = NAN;
    if (!WantsLoss(call.Ints(kCommand)[0])) {
        return kTfLiteOk;
    }
    const bool vector = (params.header.flags & TT_OP_FLAG_VECTOR) != 0u;
    const tt_build_loss_t *found = FindLoss(params.loss, vector);
    if (found == nullptr) {
        TF_LITE_KERNEL_LOG(context, "%s: expected the loss that the model was made with, received another build's",
                           kLossName);
        return kTfLiteError;
    }
    float *g = (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? call.InOut(kValues) : call.Out(1);
    const float *output = call.In(kValues);
    const uint32_t elements = Unsigned(params.elements);
    return Report(context, kLossName,
                  vector ? found->of_vector(output, elements, call.In(kLabel), g, loss)
                         : found->of_class(output, elements, Unsigned(call.Ints(kLabel)[0]), g, loss));
}

constexpr OpEntry kOps[] = {
    Entry(kLossName, PrepareLoss, InvokeLoss),
    Entry(kSoftmaxName, PrepareSoftmax, InvokeSoftmax),
    Entry(kPrototypeName, PreparePrototype, InvokePrototype),
};

} // namespace

OpFamily LossOps() {
    return Family(kOps);
}

} // namespace tinytrain
