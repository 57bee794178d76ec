/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a train.tflite on a microcontroller: enrols and trains with the samples that are linked in, and prints the loss
 * of every step. Nothing is allocated but the one arena.
 */
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tt_op_params.h"
#include "tt_register_ops.h"

/* embed.S */
extern "C" const uint8_t tt_model[];
extern "C" const int32_t tt_samples[]; /* number of samples, floats of an x; then command, label, x of each */

namespace {

/* Inputs and outputs of a train.tflite; after them come an adaptable model's seed and what the model keeps. */
constexpr size_t kX = 0;
constexpr size_t kLabel = 1;
constexpr size_t kCommand = 2;
constexpr size_t kLoss = 0;

alignas(16) uint8_t arena[TT_ARENA_BYTES];

/* The builtin ops of the forward passes that tt-tflm writes. Leave out what your model lacks: it saves flash. */
constexpr unsigned kBuiltinOps = 22;
using Resolver = tflite::MicroMutableOpResolver<kBuiltinOps + TT_OPS>;

TfLiteStatus RegisterOps(Resolver &resolver) {
    TF_LITE_ENSURE_STATUS(resolver.AddAdd());
    TF_LITE_ENSURE_STATUS(resolver.AddAveragePool2D());
    TF_LITE_ENSURE_STATUS(resolver.AddConcatenation());
    TF_LITE_ENSURE_STATUS(resolver.AddConv2D());
    TF_LITE_ENSURE_STATUS(resolver.AddDepthwiseConv2D());
    TF_LITE_ENSURE_STATUS(resolver.AddFullyConnected());
    TF_LITE_ENSURE_STATUS(resolver.AddHardSwish());
    TF_LITE_ENSURE_STATUS(resolver.AddLeakyRelu());
    TF_LITE_ENSURE_STATUS(resolver.AddLogistic());
    TF_LITE_ENSURE_STATUS(resolver.AddMaxPool2D());
    TF_LITE_ENSURE_STATUS(resolver.AddMaximum());
    TF_LITE_ENSURE_STATUS(resolver.AddMean());
    TF_LITE_ENSURE_STATUS(resolver.AddMinimum());
    TF_LITE_ENSURE_STATUS(resolver.AddMul());
    TF_LITE_ENSURE_STATUS(resolver.AddPad());
    TF_LITE_ENSURE_STATUS(resolver.AddPadV2());
    TF_LITE_ENSURE_STATUS(resolver.AddRelu());
    TF_LITE_ENSURE_STATUS(resolver.AddRelu6());
    TF_LITE_ENSURE_STATUS(resolver.AddReshape());
    TF_LITE_ENSURE_STATUS(resolver.AddSoftmax());
    TF_LITE_ENSURE_STATUS(resolver.AddSub());
    TF_LITE_ENSURE_STATUS(resolver.AddTanh());
    return tinytrain::RegisterTinyTrainOps(resolver);
}

const char *CommandName(int32_t command) {
    return command == TT_COMMAND_TRAIN ? "train" : command == TT_COMMAND_ENROLL ? "enroll" : "predict";
}

/* One run of the model on one sample; loss: out, not a number unless the command is to train. */
TfLiteStatus Run(tflite::MicroInterpreter &interpreter, int32_t command, int32_t label, const float *x, float *loss) {
    TfLiteTensor *input = interpreter.input(kX);
    std::memcpy(input->data.f, x, input->bytes);
    interpreter.input(kLabel)->data.i32[0] = label;
    interpreter.input(kCommand)->data.i32[0] = command;
    TF_LITE_ENSURE_STATUS(interpreter.Invoke());
    *loss = interpreter.output(kLoss)->data.f[0];
    return kTfLiteOk;
}

int Fail(const char *text) {
    std::printf("error: %s\n", text);
    return 1;
}

} // namespace

int main() {
    static Resolver resolver;
    if (RegisterOps(resolver) != kTfLiteOk) {
        return Fail("expected room for every op in the resolver");
    }
    static tflite::MicroInterpreter interpreter(tflite::GetModel(tt_model), resolver, arena, sizeof arena);
    if (interpreter.AllocateTensors() != kTfLiteOk) {
        return Fail("expected a model that fits the arena (TT_ARENA_BYTES), received one that TFLM refused");
    }
    std::printf("arena_used_bytes %u\n", static_cast<unsigned>(interpreter.arena_used_bytes()));

    const int32_t samples = tt_samples[0];
    const int32_t floats = tt_samples[1];
    if (interpreter.input(kX)->bytes != static_cast<size_t>(floats) * sizeof(float)) {
        return Fail("expected samples of the size of the model's input");
    }
    const int32_t *sample = tt_samples + 2;
    for (int32_t i = 0; i < samples; ++i, sample += 2 + floats) {
        float loss;
        if (Run(interpreter, sample[0], sample[1], reinterpret_cast<const float *>(sample + 2), &loss) != kTfLiteOk) {
            return Fail("the model stopped");
        }
        std::printf("%" PRId32 " %s label %" PRId32 " loss %.9g\n", i, CommandName(sample[0]), sample[1],
                    static_cast<double>(loss));
    }
    return 0;
}
