/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TFLM_SHIM_SCHEMA_H
#define TFLM_SHIM_SCHEMA_H

#include <cstdint>
#include <cstring>

namespace tflite {

using Model = uint8_t;

/* NULL unless it is a flatbuffer of TFLite's kind, 16-byte aligned. */
inline const Model *GetModel(const void *bytes) {
    const auto *model = static_cast<const uint8_t *>(bytes);
    return std::memcmp(model + 4, "TFL3", 4) == 0 && reinterpret_cast<uintptr_t>(model) % 16 == 0 ? model : nullptr;
}

} // namespace tflite

#endif /* TFLM_SHIM_SCHEMA_H */
