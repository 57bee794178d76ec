/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interpreter for the tests of exported firmware: TFLM's interface, and behind it the tflite-micro wheel in the test's
 * own process (tests/export/tflm_server.py), over the socket that TT_SHIM_TFLM names. Tensors lie in the caller's arena.
 */
#ifndef TFLM_SHIM_MICRO_INTERPRETER_H
#define TFLM_SHIM_MICRO_INTERPRETER_H

#include <cstring>

#include "shim_line.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
    union {
        void *data;
        float *f;
    } data;
    size_t bytes;
};

namespace tflite {

class MicroInterpreter {
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator)
        : ready_(model != nullptr && resolver.full()), allocator_(allocator) {
    }

    /* The server tells how many inputs and outputs there are, then of each its bytes, and of an output the input that it
     * shares its memory with, or -1. */
    TfLiteStatus AllocateTensors() {
        int32_t counts[2] = {};
        if (!ready_ || !shim::Connect()) {
            return kTfLiteError;
        }
        number_ = allocator_->NextModel();
        Ask(kOpen);
        shim::Receive(counts, sizeof counts);
        inputs_ = static_cast<size_t>(counts[0]);
        outputs_ = static_cast<size_t>(counts[1]);
        tensors_ = static_cast<TfLiteTensor *>(allocator_->Take((inputs_ + outputs_) * sizeof(TfLiteTensor)));
        if (tensors_ == nullptr) {
            return kTfLiteError;
        }
        for (size_t i = 0; i < inputs_ + outputs_; ++i) {
            int32_t about[2] = {}; /* bytes; the input, or -1 */
            shim::Receive(about, sizeof about);
            tensors_[i].bytes = static_cast<size_t>(about[0]);
            tensors_[i].data.data = about[1] < 0 ? allocator_->Take(tensors_[i].bytes) : tensors_[about[1]].data.data;
            if (tensors_[i].data.data == nullptr) {
                return kTfLiteError;
            }
            std::memset(tensors_[i].data.data, 0, tensors_[i].bytes);
        }
        return kTfLiteOk;
    }

    TfLiteTensor *input(size_t i) {
        return &tensors_[i];
    }
    TfLiteTensor *output(size_t i) {
        return &tensors_[inputs_ + i];
    }
    size_t arena_used_bytes() const {
        return allocator_->used_bytes();
    }

    TfLiteStatus Invoke() {
        int32_t refused = 1;
        Ask(kRun);
        for (size_t i = 0; i < inputs_; ++i) {
            shim::Send(tensors_[i].data.data, tensors_[i].bytes);
            std::memset(tensors_[i].data.data, 0xff, tensors_[i].bytes); /* what is no state is overwritten by a run */
        }
        shim::Receive(&refused, sizeof refused);
        for (size_t i = 0; i < outputs_; ++i) {
            shim::Receive(output(i)->data.data, output(i)->bytes);
        }
        return refused == 0 ? kTfLiteOk : kTfLiteError;
    }

  private:
    enum Request : int32_t {
        kOpen = 0,
        kRun = 1
    };

    void Ask(Request request) const {
        const int32_t words[2] = {request, number_};
        shim::Send(words, sizeof words);
    }

    bool ready_;
    MicroAllocator *allocator_;
    int32_t number_ = -1;
    size_t inputs_ = 0;
    size_t outputs_ = 0;
    TfLiteTensor *tensors_ = nullptr;
};

} // namespace tflite

#endif /* TFLM_SHIM_MICRO_INTERPRETER_H */
