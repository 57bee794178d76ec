/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TFLM_SHIM_RESOLVER_H
#define TFLM_SHIM_RESOLVER_H

#include "tt_tflm_interface.h"

namespace tflite {

/* Counts what is added: there has to be room for exactly that. */
template <unsigned kRoom>
class MicroMutableOpResolver {
public:
    TfLiteStatus AddAveragePool2D() { return Add(); }
    TfLiteStatus AddConv2D() { return Add(); }
    TfLiteStatus AddDepthwiseConv2D() { return Add(); }
    TfLiteStatus AddReshape() { return Add(); }
    TfLiteStatus AddCustom(const char *, const TFLMRegistration *) { return Add(); }
    bool full() const { return added_ == kRoom; }

private:
    TfLiteStatus Add() { return ++added_ <= kRoom ? kTfLiteOk : kTfLiteError; }
    unsigned added_ = 0;
};

} // namespace tflite

#endif /* TFLM_SHIM_RESOLVER_H */
