/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TFLM_SHIM_RESOLVER_H
#define TFLM_SHIM_RESOLVER_H

#include "tt_tflm_interface.h"

namespace tflite {

/* Whether as many operators have been added as there is room for. */
class MicroOpResolver {
  public:
    bool full() const {
        return left_ == 0;
    }

  protected:
    explicit MicroOpResolver(unsigned room) : left_(room) {
    }
    TfLiteStatus Add() {
        return left_ > 0 && left_-- > 0 ? kTfLiteOk : kTfLiteError;
    }

  private:
    unsigned left_;
};

template <unsigned kRoom> class MicroMutableOpResolver : public MicroOpResolver {
  public:
    MicroMutableOpResolver() : MicroOpResolver(kRoom) {
    }
    TfLiteStatus AddAveragePool2D() {
        return Add();
    }
    TfLiteStatus AddConv2D() {
        return Add();
    }
    TfLiteStatus AddDepthwiseConv2D() {
        return Add();
    }
    TfLiteStatus AddReshape() {
        return Add();
    }
    TfLiteStatus AddRelu6() {
        return Add();
    }
    TfLiteStatus AddSoftmax() {
        return Add();
    }
    TfLiteStatus AddTanh() {
        return Add();
    }
    TfLiteStatus AddCustom(const char *, const TFLMRegistration *) {
        return Add();
    }
};

} // namespace tflite

#endif /* TFLM_SHIM_RESOLVER_H */
