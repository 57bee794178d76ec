/* SPDX-License-Identifier: Apache-2.0 */
/* Begin and end of a run: what it trains, and what it counts. */
#include "tt_candidate.h"
#include "tt_op_table.h"

namespace tinytrain {
namespace {

constexpr const char *kStartName = "TT_START";
constexpr int kLabel = 0;
constexpr int kCommand = 1;
constexpr int kChoice = 2;
constexpr int kControl = 3;
constexpr int kPool = 4;
constexpr int kBases = 5;
constexpr uint32_t kBoth = TT_OP_FLAG_FISHER | TT_OP_FLAG_SEED;

/* The layer of a candidate, by the shape [O, stride] of its base. */
Layer LayerOf(const TfLiteEvalTensor *base, int32_t candidate, int32_t copies) {
    const int32_t stride = base->dims->data[1];
    return {base->dims->data[0], stride - 2, stride, candidate, copies};
}

TfLiteStatus PrepareStart(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kStartName);
    const auto params = p.Read<tt_op_start_t>(TT_OP_START, kBoth | TT_OP_FLAG_VECTOR);
    p.Expect(params.candidates >= 1 && params.candidates <= TT_OP_CANDIDATES, "1 to 64 candidates", params.candidates);
    p.Expect(params.classes >= 1, "at least one class", params.classes);
    p.Expect(params.batch_size >= 1, "a batch of at least one sample", params.batch_size);
    p.Expect((params.header.flags & kBoth) != kBoth, "one of the flags FISHER and SEED at most", params.header.flags);
    TF_LITE_ENSURE_STATUS(p.status());
    p.Counts(kBases + params.candidates, 2);
    if ((params.header.flags & TT_OP_FLAG_VECTOR) != 0u) {
        p.Floats(Input(kLabel), "label");
    } else {
        p.Ints(Input(kLabel), "label", 1);
    }
    p.Ints(Input(kCommand), "command", 1);
    p.Ints(Input(kControl), "control", TT_CONTROL_WORDS);
    p.Writes(Input(kControl), "control");
    p.Ints(Output(0), "active", 2);
    p.Writes(Output(0), "active");
    p.Ints(Output(1), "updating", 2);
    p.Writes(Output(1), "updating");
    for (int32_t i = 0; i < params.candidates && p.ok(); ++i) {
        p.Floats(Input(kBases + i), "base");
        TF_LITE_ENSURE_STATUS(p.status());
        const TfLiteEvalTensor *base = TensorAt(context, node, Input(kBases + i));
        const int dims = base->dims == nullptr ? 0 : base->dims->size;
        p.Expect(dims == 2, "a base of two dimensions, channels and stride", dims);
        TF_LITE_ENSURE_STATUS(p.status());
        int32_t trained;
        p.Expect(base->dims->data[1] >= 2 && base->dims->data[1] % 2 == 0, "an even stride", base->dims->data[1]);
        CheckLayer(p, LayerOf(base, i, params.copies), false);
        CheckChoice(p, LayerOf(base, i, params.copies), kPool, kChoice, &trained);
    }
    p.Writes(Input(kPool), "pool");
    return p.status();
}

bool Knows(uint32_t flags, int32_t command) {
    switch (command) {
    case TT_COMMAND_PREDICT:
    case TT_COMMAND_ENROLL:
        return true;
    case TT_COMMAND_TRAIN:
        return (flags & TT_OP_FLAG_FISHER) == 0u;
    case TT_COMMAND_FISHER:
        return (flags & TT_OP_FLAG_FISHER) != 0u;
    case TT_COMMAND_ACCUMULATE:
    case TT_COMMAND_UPDATE:
        return (flags & TT_OP_FLAG_SEED) != 0u;
    default:
        return false;
    }
}

const char *KnownCommands(uint32_t flags) {
    if ((flags & TT_OP_FLAG_FISHER) != 0u) {
        return "0, 2 or 3";
    }
    return (flags & TT_OP_FLAG_SEED) != 0u ? "0, 1, 2, 4 or 5" : "0, 1 or 2";
}

bool NeedsLabel(int32_t command) {
    return command == TT_COMMAND_TRAIN || command == TT_COMMAND_ENROLL || command == TT_COMMAND_FISHER;
}

TfLiteStatus CheckCommand(const Call &call, const tt_op_start_t &params) {
    const int32_t command = call.Ints(kCommand)[0];
    const bool of_class = (params.header.flags & TT_OP_FLAG_VECTOR) == 0u;
    const int32_t label = of_class ? call.Ints(kLabel)[0] : 0;
    if (!Knows(params.header.flags, command)) {
        TF_LITE_KERNEL_LOG(call.context(), "%s: expected a command of %s, received %d", kStartName,
                           KnownCommands(params.header.flags), static_cast<int>(command));
        return kTfLiteError;
    }
    if (NeedsLabel(command) && (label < 0 || label >= params.classes)) {
        TF_LITE_KERNEL_LOG(call.context(), "%s: expected a label from 0 to %d, received %d", kStartName,
                           static_cast<int>(params.classes - 1), static_cast<int>(label));
        return kTfLiteError;
    }
    return kTfLiteOk;
}

/* Rows as in flash, everything after them cleared. */
void Initialise(const Layer &layer, const Candidate &candidate, const float *base) {
    const auto stride = static_cast<size_t>(layer.stride);
    float *row = candidate.part;
    for (uint32_t k = 0; k < candidate.trained; ++k, row += stride) {
        std::memcpy(row, base + static_cast<size_t>(candidate.channels[k]) * stride, stride * sizeof(float));
    }
    std::memset(row, 0, static_cast<size_t>(layer.copies - 1) * candidate.trained * stride * sizeof(float));
}

TfLiteStatus InvokeStart(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_start_t>();
    TF_LITE_ENSURE_STATUS(CheckCommand(call, params));
    const int32_t command = call.Ints(kCommand)[0];
    int32_t *control = call.IntsInOut(kControl);
    const bool fresh = control[TT_CONTROL_INITIALISED] == 0;
    uint32_t named[2] = {0u, 0u};
    int64_t end = 0;
    for (int32_t i = 0; i < params.candidates; ++i) {
        const Layer layer = LayerOf(TensorAt(context, node, Input(kBases + i)), i, params.copies);
        Candidate candidate;
        TF_LITE_ENSURE_STATUS(ReadCandidate(call, kStartName, layer, kPool, kChoice, &candidate));
        if (candidate.trained > 0u && candidate.begin < end) {
            TF_LITE_KERNEL_LOG(context, "%s: expected the rows of candidate %d at %d or after it, received %d",
                               kStartName, static_cast<int>(i), static_cast<int>(end),
                               static_cast<int>(candidate.begin));
            return kTfLiteError;
        }
        end = candidate.trained > 0u ? candidate.end : end;
        if (command == TT_COMMAND_FISHER || candidate.trained > 0u) {
            named[i / 32] |= 1u << (i % 32);
        }
        if (fresh) {
            Initialise(layer, candidate, call.In(kBases + i));
        }
    }
    if (fresh) {
        control[TT_CONTROL_INITIALISED] = 1;
        control[TT_CONTROL_STEPS] = 0;
        control[TT_CONTROL_SAMPLES] = 0;
    }
    const bool trains = command == TT_COMMAND_TRAIN;
    const bool completes = control[TT_CONTROL_SAMPLES] >= params.batch_size - 1;
    const uint32_t none[2] = {0u, 0u};
    const bool active = trains || command == TT_COMMAND_FISHER || command == TT_COMMAND_ACCUMULATE;
    const bool updating = (trains && completes) || command == TT_COMMAND_UPDATE;
    std::memcpy(call.IntsOut(0), active ? named : none, sizeof named);
    std::memcpy(call.IntsOut(1), updating ? named : none, sizeof named);
    return kTfLiteOk;
}

constexpr const char *kFinishName = "TT_FINISH";

TfLiteStatus PrepareFinish(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kFinishName);
    const auto params = p.Read<tt_op_finish_t>(TT_OP_FINISH, 0u);
    p.Expect(params.batch_size >= 1, "a batch of at least one sample", params.batch_size);
    p.Counts(2, 0);
    p.Ints(Input(0), "command", 1);
    p.Ints(Input(1), "control", TT_CONTROL_WORDS);
    p.Writes(Input(1), "control");
    return p.status();
}

TfLiteStatus InvokeFinish(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_finish_t>();
    int32_t *control = call.IntsInOut(1);
    const int32_t command = call.Ints(0)[0];
    if (command != TT_COMMAND_TRAIN && command != TT_COMMAND_UPDATE) {
        return kTfLiteOk;
    }
    if (command == TT_COMMAND_TRAIN && control[TT_CONTROL_SAMPLES] < params.batch_size - 1) {
        control[TT_CONTROL_SAMPLES] += 1;
        return kTfLiteOk;
    }
    control[TT_CONTROL_SAMPLES] = 0;
    control[TT_CONTROL_STEPS] += control[TT_CONTROL_STEPS] < INT32_MAX ? 1 : 0;
    return kTfLiteOk;
}

constexpr OpEntry kOps[] = {
    Entry(kStartName, PrepareStart, InvokeStart),
    Entry(kFinishName, PrepareFinish, InvokeFinish),
};

} // namespace

OpFamily StateOps() {
    return Family(kOps);
}

} // namespace tinytrain
