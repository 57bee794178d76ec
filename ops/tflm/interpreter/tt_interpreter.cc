/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_interpreter.h"

#include <new>

#include "tt_tflm_interface.h"

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tt_builtin_ops.h"
#include "tt_register_ops.h"

namespace {

constexpr size_t kAlignment = 16;

using Resolver = tflite::MicroMutableOpResolver<TT_BUILTIN_OPS + TT_OPS>;

constexpr size_t Aligned(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/* Cuts objects off the beginning of the arena. They are never destroyed: the memory is the caller's. */
class Room {
  public:
    Room(void *arena, size_t bytes) : next_(static_cast<uint8_t *>(arena)), left_(bytes) {
    }

    /* NULL where there is no room for it. */
    void *Take(size_t bytes) {
        void *taken = next_;
        if (Aligned(bytes) > left_) {
            return nullptr;
        }
        next_ += Aligned(bytes);
        left_ -= Aligned(bytes);
        return taken;
    }

    uint8_t *next() const {
        return next_;
    }
    size_t left() const {
        return left_;
    }

  private:
    uint8_t *next_;
    size_t left_;
};

} // namespace

struct tt_interpreter {
    tt_interpreter(const uint8_t *model, const Resolver &resolver, tflite::MicroAllocator *allocator, size_t before)
        : tflm(tflite::GetModel(model), resolver, allocator), bytes_before(before) {
    }

    tflite::MicroInterpreter tflm;
    size_t bytes_before; /* of the arena, which TFLM has not been given */
};

tt_status_t tt_interpreters_open(void *arena, size_t arena_bytes, const uint8_t *const *models, uint32_t count,
                                 tt_interpreter_t **interpreters) {
    Room room(arena, arena_bytes);
    void *place = room.Take(sizeof(Resolver));
    void *places = room.Take(count * Aligned(sizeof(tt_interpreter_t)));
    if (place == nullptr || places == nullptr) {
        return TT_ERROR_ARENA_TOO_SMALL;
    }
    auto *resolver = ::new (place) Resolver;
    if (tinytrain::AddBuiltinOps(*resolver) != kTfLiteOk || tinytrain::RegisterTinyTrainOps(*resolver) != kTfLiteOk) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    if (room.left() < tflite::MicroAllocator::GetDefaultTailUsage(false)) {
        return TT_ERROR_ARENA_TOO_SMALL; /* TFLM does not ask before it takes that */
    }
    auto *allocator = tflite::MicroAllocator::Create(room.next(), room.left());
    for (uint32_t i = 0; i < count; ++i) {
        void *own = static_cast<uint8_t *>(places) + i * Aligned(sizeof(tt_interpreter_t));
        interpreters[i] = ::new (own) tt_interpreter_t(models[i], *resolver, allocator, arena_bytes - room.left());
        if (interpreters[i]->tflm.AllocateTensors() != kTfLiteOk) {
            return TT_ERROR_ARENA_TOO_SMALL;
        }
    }
    return TT_OK;
}

tt_status_t tt_interpreter_run(tt_interpreter_t *interpreter) {
    return interpreter->tflm.Invoke() == kTfLiteOk ? TT_OK : TT_ERROR_NOT_FINITE;
}

void *tt_interpreter_input(tt_interpreter_t *interpreter, uint32_t index) {
    return interpreter->tflm.input(index)->data.data;
}

const void *tt_interpreter_output(tt_interpreter_t *interpreter, uint32_t index) {
    return interpreter->tflm.output(index)->data.data;
}

size_t tt_interpreter_input_bytes(tt_interpreter_t *interpreter, uint32_t index) {
    return interpreter->tflm.input(index)->bytes;
}

size_t tt_interpreter_arena_used(const tt_interpreter_t *interpreter) {
    return interpreter->bytes_before + interpreter->tflm.arena_used_bytes();
}
