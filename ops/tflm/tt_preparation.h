/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prepare of every op checks with. The first check that fails reports what was expected and what was received;
 * the checks after it are skipped and what they would have read comes back as 0, so that an op states all it expects in
 * one go and returns status() at its end.
 */
#ifndef TT_PREPARATION_H
#define TT_PREPARATION_H

#include <cfloat>
#include <cstdint>
#include <cstring>

#include "tt_op_params.h"
#include "tt_tflm_interface.h"

namespace tinytrain {

/* One tensor of a node, by its place among the inputs or the outputs. */
struct Place {
    bool output;
    int index;
};

constexpr Place Input(int index) {
    return {false, index};
}
constexpr Place Output(int index) {
    return {true, index};
}

inline int64_t InputElements(const tt_window_t &w) {
    return int64_t{w.H} * w.W * w.C;
}
inline int64_t OutputElements(const tt_window_t &w) {
    return int64_t{w.OH} * w.OW * w.O;
}

/* The bounds for the kernels, which know no absent bound. */
template <typename Params> float Low(const Params &params) {
    return (params.header.flags & TT_OP_FLAG_LOW) != 0u ? params.low : -FLT_MAX;
}
template <typename Params> float High(const Params &params) {
    return (params.header.flags & TT_OP_FLAG_HIGH) != 0u ? params.high : FLT_MAX;
}

/* Number of elements by shape; -1 where the shape is none, or has more elements than the kernels can index. */
int64_t Elements(const TfLiteEvalTensor *tensor);

/* The tensor there; NULL where the node has none. */
TfLiteEvalTensor *TensorAt(const TfLiteContext *context, const TfLiteNode *node, Place place);

class Preparation {
  public:
    /* name: of the op, for messages. */
    Preparation(TfLiteContext *context, TfLiteNode *node, const char *name);

    TfLiteStatus status() const {
        return status_;
    }
    bool ok() const {
        return status_ == kTfLiteOk;
    }

    /* The parameters of the node. flags: those that the op knows. */
    template <typename Params> Params Read(tt_op_code_t op, uint32_t flags) {
        Params params;
        std::memset(&params, 0, sizeof params);
        if (CheckHeader(op, flags, sizeof params)) {
            std::memcpy(&params, node_->custom_initial_data, sizeof params);
        }
        return params;
    }

    /* How many tensors the node has. */
    void Counts(int inputs, int outputs);

    /* A float32 tensor of any size; returns the number of elements. what: its name, for messages. */
    int32_t Floats(Place place, const char *what);
    /* A float32 or int32 tensor of that many elements. */
    void Floats(Place place, const char *what, int64_t elements);
    void Ints(Place place, const char *what, int64_t elements);
    /* An int32 tensor of at least that many elements; returns their number. */
    int32_t IntsAtLeast(Place place, const char *what, int64_t elements);
    /* The input int32[2] that says which candidates a run trains. */
    void Active(int index);

    /* A tensor that the op writes: no constant, and none of the node's other tensors. */
    void Writes(Place place, const char *what);
    /* The result of an op that knows IN_PLACE: output 0, of that many elements, or the first input. */
    void Result(const tt_op_header_t &header, const char *what, int64_t elements);

    /* Refuses with "expected <what>, received <received>" unless the condition holds. */
    void Expect(bool condition, const char *what, int64_t received);
    void ExpectValue(bool condition, const char *what, float received);

    /* check: the one of tt_window.h that the op's kernel asks for. */
    void Window(const tt_window_t &window, tt_status_t (*check)(const tt_window_t *));
    /* The bounds of a clip, as far as the flags say that there are any. */
    void Bounds(const tt_op_header_t &header, float low, float high);

    /* Content of a constant input; NULL for a tensor whose content is not known before Invoke. */
    const int32_t *Constant(int index) const;

    /* Scratch in the arena; the index for GetScratchBuffer goes to *index. */
    void Scratch(size_t bytes, int *index);
    /* Room in the arena that Invoke finds under node->user_data; NULL if there is none left. */
    template <typename State> State *Keep() {
        node_->user_data = context_->AllocatePersistentBuffer(context_, sizeof(State));
        Expect(node_->user_data != nullptr, "room in the arena for what the op keeps", 0);
        return static_cast<State *>(node_->user_data);
    }

    TfLiteContext *context() const {
        return context_;
    }
    TfLiteNode *node() const {
        return node_;
    }
    const char *name() const {
        return name_;
    }
    void Fail() {
        status_ = kTfLiteError;
    }

  private:
    bool CheckHeader(tt_op_code_t op, uint32_t flags, size_t bytes);
    int32_t Tensor(Place place, const char *what, TfLiteType type);
    void Sized(Place place, const char *what, TfLiteType type, int64_t elements);

    TfLiteContext *context_;
    TfLiteNode *node_;
    const char *name_;
    TfLiteStatus status_;
};

} // namespace tinytrain

#endif /* TT_PREPARATION_H */
