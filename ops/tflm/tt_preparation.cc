/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_preparation.h"

#include <initializer_list>

namespace tinytrain {
namespace {

/* The kernels index arrays in bytes within int32. */
constexpr int64_t kMaxElements = INT32_MAX / 4;
constexpr uintptr_t kAlignment = 8; /* pairs of floats are loaded at once */

int Shown(int64_t value) {
    return static_cast<int>(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

const char *TypeName(TfLiteType type) {
    return type == kTfLiteFloat32 ? "float32" : "int32";
}

const TfLiteIntArray *List(const TfLiteNode *node, Place place) {
    return place.output ? node->outputs : node->inputs;
}

int Size(const TfLiteIntArray *list) {
    return list == nullptr ? 0 : list->size;
}

} // namespace

int64_t Elements(const TfLiteEvalTensor *tensor) {
    int64_t elements = 1;
    for (int i = 0; i < Size(tensor->dims); ++i) {
        const int dim = tensor->dims->data[i];
        if (dim < 1 || elements * dim > kMaxElements) {
            return -1;
        }
        elements *= dim;
    }
    return elements;
}

TfLiteEvalTensor *TensorAt(const TfLiteContext *context, const TfLiteNode *node, Place place) {
    const TfLiteIntArray *list = List(node, place);
    if (place.index < 0 || place.index >= Size(list) || list->data[place.index] < 0) {
        return nullptr;
    }
    return context->GetEvalTensor(context, list->data[place.index]);
}

Preparation::Preparation(TfLiteContext *context, TfLiteNode *node, const char *name)
    : context_(context), node_(node), name_(name), status_(kTfLiteOk) {
}

bool Preparation::CheckHeader(tt_op_code_t op, uint32_t flags, size_t bytes) {
    const int received = node_->custom_initial_data == nullptr ? 0 : node_->custom_initial_data_size;
    Expect(received == static_cast<int>(bytes), "parameters of the length that this version of the op has", received);
    if (!ok()) {
        return false;
    }
    tt_op_header_t header;
    std::memcpy(&header, node_->custom_initial_data, sizeof header);
    Expect(header.magic == TT_OP_MAGIC, "parameters that begin with TTOP", static_cast<int64_t>(header.magic));
    Expect(header.version == TT_OP_VERSION, "version 2 of the op's parameters", header.version);
    Expect(header.op == op, "parameters of this op", header.op);
    Expect((header.flags & ~flags) == 0u, "flags of this op alone", static_cast<int64_t>(header.flags));
    return ok();
}

void Preparation::Counts(int inputs, int outputs) {
    if (ok() && (Size(node_->inputs) != inputs || Size(node_->outputs) != outputs)) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %d inputs and %d outputs, received %d and %d", name_, inputs,
                           outputs, Size(node_->inputs), Size(node_->outputs));
        Fail();
    }
}

int32_t Preparation::Tensor(Place place, const char *what, TfLiteType type) {
    if (!ok()) {
        return 0;
    }
    const TfLiteEvalTensor *tensor = TensorAt(context_, node_, place);
    if (tensor == nullptr) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected a tensor %s, received none", name_, what);
        Fail();
        return 0;
    }
    if (tensor->type != type) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s to be %s, received TfLiteType %d", name_, what, TypeName(type),
                           static_cast<int>(tensor->type));
        Fail();
        return 0;
    }
    const int64_t elements = Elements(tensor);
    if (elements < 0) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s to have 1 to %d elements, received another shape", name_, what,
                           static_cast<int>(kMaxElements));
        Fail();
        return 0;
    }
    /* The arena's tensors are aligned; of a constant, the file decides. */
    const auto address = reinterpret_cast<uintptr_t>(tensor->data.data);
    if (address % kAlignment != 0u) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s on an 8-byte boundary, received an address that is %d past one",
                           name_, what, static_cast<int>(address % kAlignment));
        Fail();
        return 0;
    }
    return static_cast<int32_t>(elements);
}

void Preparation::Sized(Place place, const char *what, TfLiteType type, int64_t elements) {
    const int32_t received = Tensor(place, what, type);
    if (ok() && received != elements) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s to have %d elements, received %d", name_, what, Shown(elements),
                           static_cast<int>(received));
        Fail();
    }
}

int32_t Preparation::Floats(Place place, const char *what) {
    return Tensor(place, what, kTfLiteFloat32);
}

void Preparation::Floats(Place place, const char *what, int64_t elements) {
    Sized(place, what, kTfLiteFloat32, elements);
}

void Preparation::Ints(Place place, const char *what, int64_t elements) {
    Sized(place, what, kTfLiteInt32, elements);
}

int32_t Preparation::IntsAtLeast(Place place, const char *what, int64_t elements) {
    const int32_t received = Tensor(place, what, kTfLiteInt32);
    if (ok() && received < elements) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s to have at least %d elements, received %d", name_, what,
                           Shown(elements), static_cast<int>(received));
        Fail();
    }
    return ok() ? received : 0;
}

void Preparation::Active(int index) {
    Ints(Input(index), "active", 2);
}

void Preparation::Writes(Place place, const char *what) {
    if (!ok()) {
        return;
    }
    const TfLiteIntArray *own = List(node_, place);
    const int written = own->data[place.index];
    for (const bool output : {false, true}) {
        const TfLiteIntArray *list = List(node_, {output, 0});
        for (int i = 0; i < Size(list); ++i) {
            if (list->data[i] == written && !(output == place.output && i == place.index)) {
                TF_LITE_KERNEL_LOG(context_, "%s: expected %s to be a tensor of its own, received tensor %d twice",
                                   name_, what, written);
                Fail();
                return;
            }
        }
    }
    if (context_->GetEvalTensor(context_, written)->data.data != nullptr) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s to be a tensor that can be written, received a constant", name_,
                           what);
        Fail();
    }
}

void Preparation::Result(const tt_op_header_t &header, const char *what, int64_t elements) {
    const Place place = (header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? Input(0) : Output(0);
    Floats(place, what, elements);
    Writes(place, what);
}

void Preparation::Expect(bool condition, const char *what, int64_t received) {
    if (ok() && !condition) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s, received %d", name_, what, Shown(received));
        Fail();
    }
}

void Preparation::ExpectValue(bool condition, const char *what, float received) {
    if (ok() && !condition) {
        TF_LITE_KERNEL_LOG(context_, "%s: expected %s, received %f", name_, what, static_cast<double>(received));
        Fail();
    }
}

void Preparation::Window(const tt_window_t &window, tt_status_t (*check)(const tt_window_t *)) {
    if (ok() && check(&window) != TT_OK) {
        TF_LITE_KERNEL_LOG(context_,
                           "%s: expected a window that fits its image, received %dx%d, stride %dx%d, padding %dx%d, "
                           "from %dx%dx%d to %dx%dx%d",
                           name_, static_cast<int>(window.kh), static_cast<int>(window.kw), static_cast<int>(window.sh),
                           static_cast<int>(window.sw), static_cast<int>(window.pt), static_cast<int>(window.pl),
                           static_cast<int>(window.H), static_cast<int>(window.W), static_cast<int>(window.C),
                           static_cast<int>(window.OH), static_cast<int>(window.OW), static_cast<int>(window.O));
        Fail();
    }
}

void Preparation::Bounds(const tt_op_header_t &header, float low, float high) {
    constexpr uint32_t both = TT_OP_FLAG_LOW | TT_OP_FLAG_HIGH;
    ExpectValue((header.flags & both) != both || low <= high, "a lower bound not above the upper one", low);
}

const int32_t *Preparation::Constant(int index) const {
    return ok() ? static_cast<const int32_t *>(TensorAt(context_, node_, Input(index))->data.data) : nullptr;
}

void Preparation::Scratch(size_t bytes, int *index) {
    if (ok()) {
        status_ = context_->RequestScratchBufferInArena(context_, bytes, index);
    }
}

} // namespace tinytrain
