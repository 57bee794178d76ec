/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TFLM_SHIM_ALLOCATOR_H
#define TFLM_SHIM_ALLOCATOR_H

#include <cstddef>
#include <cstdint>
#include <new>

namespace tflite {

/* Like TFLM's, it lies in the arena that it gives out. */
class MicroAllocator {
  public:
    static size_t GetDefaultTailUsage(bool) {
        return kOwnBytes;
    }
    static MicroAllocator *Create(uint8_t *arena, size_t bytes) {
        return ::new (arena) MicroAllocator(arena, bytes);
    }

    /* 16-byte aligned; NULL where there is no room. */
    void *Take(size_t bytes) {
        const size_t begin = used_;
        const size_t end = (begin + bytes + 15) / 16 * 16;
        if (end > bytes_) {
            return nullptr;
        }
        used_ = end;
        return arena_ + begin;
    }

    size_t used_bytes() const {
        return used_;
    }

    /* How many models have been laid out in the arena before. */
    int32_t NextModel() {
        return models_++;
    }

  private:
    static constexpr size_t kOwnBytes = 32;
    MicroAllocator(uint8_t *arena, size_t bytes) : arena_(arena), bytes_(bytes) {
    }

    uint8_t *arena_;
    size_t bytes_;
    size_t used_ = kOwnBytes;
    int32_t models_ = 0;
};

static_assert(sizeof(MicroAllocator) <= 32, "room for it at the beginning of the arena");

} // namespace tflite

#endif /* TFLM_SHIM_ALLOCATOR_H */
