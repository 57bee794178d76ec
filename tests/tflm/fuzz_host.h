/* SPDX-License-Identifier: Apache-2.0 */
/* A context of its own for one node: every tensor, every scratch buffer and the parameters are heap blocks of exactly
 * their size. */
#ifndef FUZZ_HOST_H
#define FUZZ_HOST_H

#include <cstdarg>
#include <cstring>
#include <memory>
#include <utility>

#include "fuzz_mutation.h"
#include "tt_register_ops.h"

struct Free {
    void operator()(void *memory) const {
        std::free(memory);
    }
};
using Block = std::unique_ptr<void, Free>;

inline Block Allocate(size_t bytes) {
    Block block(std::malloc(bytes));
    if (block == nullptr) {
        std::abort();
    }
    return block;
}

inline Block IntArray(const std::vector<int> &values) {
    Block block = Allocate(sizeof(int) * (values.size() < 1u ? 2u : values.size() + 1u));
    auto *array = static_cast<int *>(block.get());
    array[0] = static_cast<int>(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
        array[i + 1u] = values[i];
    }
    return block;
}

/* One node between Prepare and Invoke. */
class Host {
  public:
    Host(Random &random, const Case &one) : random_(random), case_(one), params_(Allocate(one.params.size())) {
        std::memset(static_cast<void *>(&context_), 0, sizeof context_);
        context_.impl_ = this;
        context_.ReportError = ReportError;
        context_.AllocatePersistentBuffer = [](TfLiteContext *context, size_t bytes) -> void * {
            return Of(context).Keep(Allocate(bytes));
        };
        context_.RequestScratchBufferInArena = [](TfLiteContext *context, size_t bytes, int *index) {
            Host &host = Of(context);
            *index = static_cast<int>(host.scratch_bytes_.size());
            host.scratch_bytes_.push_back(bytes);
            return kTfLiteOk;
        };
        context_.GetScratchBuffer = [](TfLiteContext *context, int index) {
            return Of(context).scratch_.at(static_cast<size_t>(index)).get();
        };
        context_.GetEvalTensor = [](const TfLiteContext *context, int index) {
            return &Of(context).eval_.at(static_cast<size_t>(index));
        };
        for (const Tensor &tensor : one.tensors) {
            auto *dims = static_cast<TfLiteIntArray *>(Keep(IntArray(tensor.dims)));
            eval_.push_back({{nullptr}, dims, static_cast<TfLiteType>(tensor.type)});
        }
        for (size_t i = 0; i < one.tensors.size(); ++i) {
            if (one.tensors[i].constant) {
                Fill(i);
            }
        }
        std::memcpy(params_.get(), one.params.data(), one.params.size());
        std::memset(static_cast<void *>(&node_), 0, sizeof node_);
        node_.inputs = static_cast<TfLiteIntArray *>(Keep(IntArray(one.inputs)));
        node_.outputs = static_cast<TfLiteIntArray *>(Keep(IntArray(one.outputs)));
        node_.custom_initial_data = params_.get();
        node_.custom_initial_data_size = static_cast<int>(one.params.size());
    }

    TfLiteStatus Prepare(const TFLMRegistration &registration) {
        const TfLiteStatus status = registration.prepare(&context_, &node_);
        CheckMessage(status);
        return status;
    }

    TfLiteStatus Invoke(const TFLMRegistration &registration) {
        const TfLiteStatus status = registration.invoke(&context_, &node_);
        CheckMessage(status);
        for (size_t i = 0; i < case_.tensors.size(); ++i) {
            if (case_.tensors[i].constant &&
                std::memcmp(eval_[i].data.data, &filled_[i][0], 4u * filled_[i].size()) != 0) {
                std::fprintf(stderr, "%s wrote into a constant\n", case_.name.c_str());
                std::exit(1);
            }
        }
        return status;
    }

    /* Memory for what Prepare may not see yet; scratch holds whatever was there before, like an arena. */
    void Place() {
        for (size_t i = 0; i < case_.tensors.size(); ++i) {
            if (!case_.tensors[i].constant) {
                Fill(i);
            }
        }
        for (const size_t bytes : scratch_bytes_) {
            scratch_.push_back(Allocate(bytes));
            std::memset(scratch_.back().get(), static_cast<int>(random_.Below(256)), bytes);
        }
    }

    /* Changes a word of a tensor that a user may write between two runs. */
    void Disturb() {
        const size_t i = random_.Below(eval_.size());
        if (!case_.tensors[i].constant && !filled_[i].empty()) {
            auto *words = static_cast<uint32_t *>(eval_[i].data.data);
            uint32_t &word = words[random_.Below(filled_[i].size())];
            word = MutatedWord(random_, word);
        }
    }

  private:
    static Host &Of(const TfLiteContext *context) {
        return *static_cast<Host *>(context->impl_);
    }

    static void ReportError(TfLiteContext *context, const char *format, ...) {
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        Of(context).message_ = text;
    }

    void CheckMessage(TfLiteStatus status) {
        const bool told = message_.rfind(case_.name + ": ", 0) == 0;
        if ((status != kTfLiteOk) != told) {
            std::fprintf(stderr, "%s: status %d with the message '%s'\n", case_.name.c_str(), static_cast<int>(status),
                         message_.c_str());
            std::exit(1);
        }
    }

    void *Keep(Block block) {
        kept_.push_back(std::move(block));
        return kept_.back().get();
    }

    /* Words that the case does not give are random. */
    void Fill(size_t i) {
        const Tensor &tensor = case_.tensors[i];
        filled_.resize(case_.tensors.size());
        std::vector<uint32_t> &words = filled_[i];
        words = tensor.content;
        const size_t old = words.size();
        words.resize(static_cast<size_t>(tensor.Elements()));
        for (size_t k = old; k < words.size(); ++k) {
            words[k] = tensor.type == kTfLiteInt32 ? random_.Below(4) : 0x3f000000u + random_.Below(0x800000);
        }
        eval_[i].data.data = Keep(Allocate(4u * words.size()));
        std::memcpy(eval_[i].data.data, words.data(), 4u * words.size());
    }

    Random &random_;
    const Case &case_;
    Block params_;
    TfLiteContext context_;
    TfLiteNode node_;
    std::vector<TfLiteEvalTensor> eval_;
    std::vector<std::vector<uint32_t>> filled_;
    std::vector<Block> kept_;
    std::vector<size_t> scratch_bytes_;
    std::vector<Block> scratch_;
    std::string message_;
};

#endif /* FUZZ_HOST_H */
