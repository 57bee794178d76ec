/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TFLM_SHIM_SCHEMA_H
#define TFLM_SHIM_SCHEMA_H

#include <cstdint>
#include <cstring>

namespace tflite {

struct Model {
    bool is_flatbuffer; /* of TFLite's kind, 16-byte aligned */
};

inline const Model *GetModel(const void *bytes)
{
    static Model model;
    model.is_flatbuffer = std::memcmp(static_cast<const char *>(bytes) + 4, "TFL3", 4) == 0 &&
                          reinterpret_cast<uintptr_t>(bytes) % 16 == 0;
    return &model;
}

} // namespace tflite

#endif /* TFLM_SHIM_SCHEMA_H */
