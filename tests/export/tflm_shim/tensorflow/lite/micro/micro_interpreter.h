/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interpreter for the tests of exported modules: TFLM's interface, and in place of a model one that learns a number.
 * Its tensors are those of a build with prototypes and a fixed plan: x, label, command, pool, control, sums, counts, rate
 * go in, loss, scores and embedding come out.
 */
#ifndef TFLM_SHIM_MICRO_INTERPRETER_H
#define TFLM_SHIM_MICRO_INTERPRETER_H

#include <cmath>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tt_op_params.h"
#include "tt_tflm_model.h"

struct TfLiteTensor {
    union {
        float *f;
        int32_t *i32;
    } data;
    size_t bytes;
};

namespace tflite {

class MicroInterpreter {
public:
    template <typename Resolver>
    MicroInterpreter(const Model *model, const Resolver &resolver, uint8_t *arena, size_t bytes)
        : arena_(arena), bytes_(bytes), ready_(model->is_flatbuffer && resolver.full())
    {
    }

    /* Like TFLM, it lays tensors out in the arena, and refuses one that is too small. */
    TfLiteStatus AllocateTensors()
    {
        const size_t floats[kTensors] = {TT_MODEL_INPUT_ELEMENTS, 1, 1, 37, TT_CONTROL_WORDS, 6, TT_MODEL_CLASSES, 1, 1, TT_MODEL_CLASSES, 4};
        size_t used = 0;
        for (size_t i = 0; i < kTensors; ++i) {
            tensors_[i].data.f = reinterpret_cast<float *>(arena_ + used);
            tensors_[i].bytes = floats[i] * sizeof(float);
            used += (tensors_[i].bytes + 15) / 16 * 16;
            if (used > bytes_) {
                return kTfLiteError;
            }
        }
        used_ = used;
        return ready_ ? Reset() : kTfLiteError;
    }

    TfLiteTensor *input(size_t i) { return &tensors_[i]; }
    TfLiteTensor *output(size_t i) { return i < 3 ? &tensors_[8 + i] : input(i); }
    size_t arena_used_bytes() const { return used_; }

    TfLiteStatus Reset()
    {
        for (size_t i = 3; i < 8; ++i) {
            std::memset(tensors_[i].data.f, 0, tensors_[i].bytes);
        }
        return kTfLiteOk;
    }

    TfLiteStatus Invoke()
    {
        const float x = tensors_[0].data.f[TT_MODEL_INPUT_ELEMENTS - 1];
        const int32_t label = tensors_[1].data.i32[0];
        const int32_t command = tensors_[2].data.i32[0];
        float *learned = &tensors_[3].data.f[36];
        std::memset(tensors_[0].data.f, 0xff, tensors_[0].bytes); /* x is overwritten */
        tensors_[8].data.f[0] = NAN;
        if (command == TT_COMMAND_ENROLL) {
            tensors_[6].data.i32[label] += 1;
        } else if (command == TT_COMMAND_TRAIN) {
            tensors_[8].data.f[0] = 1.0f / (1.0f + *learned);
            *learned += 1.0f;
        }
        for (int32_t i = 0; i < TT_MODEL_CLASSES; ++i) {
            tensors_[9].data.f[i] = *learned * x * static_cast<float>(i + 1);
        }
        return kTfLiteOk;
    }

private:
    static constexpr size_t kTensors = 11;
    TfLiteTensor tensors_[kTensors] = {};
    uint8_t *arena_;
    size_t bytes_;
    size_t used_ = 0;
    bool ready_;
};

} // namespace tflite

#endif /* TFLM_SHIM_MICRO_INTERPRETER_H */
