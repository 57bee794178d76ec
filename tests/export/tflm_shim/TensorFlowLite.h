/* SPDX-License-Identifier: Apache-2.0 */
/* By this header Arduino finds the library; there is nothing in it that a model needs. */
#ifndef TFLM_SHIM_TENSORFLOW_LITE_H
#define TFLM_SHIM_TENSORFLOW_LITE_H
#endif /* TFLM_SHIM_TENSORFLOW_LITE_H */
