/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of TensorFlow Lite Micro's C interface that the registrations touch.
 *
 * In firmware that is TFLM's own headers. The tflite-micro wheel for Python comes without headers: where there are none,
 * the structures are declared here as the wheel named in tt_tflm/boards/simulated/tflm_wheel.py lays them out. That module
 * loads no other wheel.
 */
#ifndef TT_TFLM_INTERFACE_H
#define TT_TFLM_INTERFACE_H

#include <cstddef>
#include <cstdint>

#if defined(ARDUINO) && __has_include(<TensorFlowLite.h>)
#include <TensorFlowLite.h> /* by which Arduino finds the library */
#endif

#if __has_include("tensorflow/lite/micro/micro_common.h")

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"

#elif __has_include("tensorflow/lite/micro/micro_interpreter.h") && __has_include("tensorflow/lite/c/common.h")

/* Before 2023 TFLM took TFLite's own structure, which begins alike. */
#include "tensorflow/lite/c/common.h"

using TFLMRegistration = TfLiteRegistration;

#else

#define TT_TFLM_STAND_IN 1

extern "C" {

enum TfLiteStatus : int {
    kTfLiteOk = 0,
    kTfLiteError = 1
};
enum TfLiteType : int {
    kTfLiteNoType = 0,
    kTfLiteFloat32 = 1,
    kTfLiteInt32 = 2
};

struct TfLiteTensor;

struct TfLiteIntArray {
    int size;
    int data[1]; /* [size] */
};

union TfLitePtrUnion {
    void *data;
};

struct TfLiteEvalTensor {
    TfLitePtrUnion data;
    TfLiteIntArray *dims;
    TfLiteType type;
};

struct TfLiteNode {
    TfLiteIntArray *inputs;
    TfLiteIntArray *outputs;
    TfLiteIntArray *intermediates;
    void *user_data;
    void *builtin_data;
    const void *custom_initial_data;
    int custom_initial_data_size;
};

/* Members that no registration uses are kept as bare pointers, for their place alone. */
struct TfLiteContext {
    size_t tensors_size;
    void *get_execution_plan;
    TfLiteTensor *tensors;
    void *impl_;
    void *resize_tensor;
    void (*ReportError)(TfLiteContext *context, const char *format, ...);
    void *add_tensors;
    void *get_node_and_registration;
    void *replace_node_subsets;
    int recommended_num_threads;
    void *get_external_context;
    void *set_external_context;
    bool allow_fp32_relax_to_fp16;
    void *profiler;
    void *(*AllocatePersistentBuffer)(TfLiteContext *context, size_t bytes);
    void *allocate_buffer_for_eval;
    TfLiteStatus (*RequestScratchBufferInArena)(TfLiteContext *context, size_t bytes, int *buffer_index);
    void *(*GetScratchBuffer)(TfLiteContext *context, int buffer_index);
    void *resize_tensor_explicit;
    void *preview_delegate_partitioning;
    void *get_tensor;
    TfLiteEvalTensor *(*GetEvalTensor)(const TfLiteContext *context, int tensor_index);
};

} /* extern "C" */

struct TFLMRegistration {
    void *(*init)(TfLiteContext *context, const char *buffer, size_t length);
    void (*free)(TfLiteContext *context, void *buffer);
    TfLiteStatus (*prepare)(TfLiteContext *context, TfLiteNode *node);
    TfLiteStatus (*invoke)(TfLiteContext *context, TfLiteNode *node);
    void (*reset)(TfLiteContext *context, void *buffer);
    int32_t builtin_code;
    const char *custom_name;
};

#define TF_LITE_KERNEL_LOG(context, ...)                                                                               \
    do {                                                                                                               \
        (context)->ReportError((context), __VA_ARGS__);                                                                \
    } while (false)

#define TF_LITE_ENSURE_STATUS(a)                                                                                       \
    do {                                                                                                               \
        const TfLiteStatus s = (a);                                                                                    \
        if (s != kTfLiteOk) {                                                                                          \
            return s;                                                                                                  \
        }                                                                                                              \
    } while (false)

#endif

#endif /* TT_TFLM_INTERFACE_H */
