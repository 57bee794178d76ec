/* SPDX-License-Identifier: Apache-2.0 */
/* What Invoke of every op reads its parameters and tensors with. Prepare has checked them; nothing is checked again. */
#ifndef TT_CALL_H
#define TT_CALL_H

#include <cstring>

#include "tt_preparation.h"

namespace tinytrain {

class Call {
  public:
    Call(TfLiteContext *context, TfLiteNode *node) : context_(context), node_(node) {
    }

    /* The parameters, out of flash: no copy is kept in the arena. */
    template <typename Params> Params Read() const {
        Params params;
        std::memcpy(&params, node_->custom_initial_data, sizeof params);
        return params;
    }

    const float *In(int index) const {
        return static_cast<const float *>(Data(Input(index)));
    }
    const int32_t *Ints(int index) const {
        return static_cast<const int32_t *>(Data(Input(index)));
    }
    /* Inputs that are written in place. */
    float *InOut(int index) const {
        return static_cast<float *>(Data(Input(index)));
    }
    int32_t *IntsInOut(int index) const {
        return static_cast<int32_t *>(Data(Input(index)));
    }
    float *Out(int index) const {
        return static_cast<float *>(Data(Output(index)));
    }
    int32_t *IntsOut(int index) const {
        return static_cast<int32_t *>(Data(Output(index)));
    }
    /* Where an op with the flag IN_PLACE puts its result. */
    float *Result(const tt_op_header_t &header) const {
        return (header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? InOut(0) : Out(0);
    }

    uint32_t Count(Place place) const {
        return static_cast<uint32_t>(Elements(TensorAt(context_, node_, place)));
    }

    /* Whether a candidate that the op is there for is trained in this run. index: of the input `active`. */
    bool Runs(const tt_op_header_t &header, int index) const {
        const int32_t *active = Ints(index);
        return ((static_cast<uint32_t>(active[0]) & header.guard_low) |
                (static_cast<uint32_t>(active[1]) & header.guard_high)) != 0u;
    }

    TfLiteContext *context() const {
        return context_;
    }
    TfLiteNode *node() const {
        return node_;
    }

  private:
    void *Data(Place place) const {
        return TensorAt(context_, node_, place)->data.data;
    }

    TfLiteContext *context_;
    TfLiteNode *node_;
};

} // namespace tinytrain

#endif /* TT_CALL_H */
