/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_candidate.h"

namespace tinytrain {
namespace {

constexpr int kTriple = 3;
constexpr int32_t kMaxCopies = 4; /* rows, two moments, gradients */

/* Floats of a row of a candidate: the weights and the bias, rounded up to even so that pairs stay aligned. */
int64_t RowStride(int64_t row_length) {
    return (row_length + 2) / 2 * 2;
}

} // namespace

TfLiteStatus ReadCandidate(TfLiteContext *context, const char *name, const Layer &layer, const Choice &choice,
                           Candidate *candidate) {
    const int32_t *triple = choice.words + kTriple * layer.candidate;
    const int32_t count = triple[0];
    const int32_t offset = triple[1];
    const int32_t list = triple[2];
    if (count < 0 || count > layer.channels) {
        TF_LITE_KERNEL_LOG(context, "%s: expected choice to name 0 to %d channels of candidate %d, received %d", name,
                           static_cast<int>(layer.channels), static_cast<int>(layer.candidate),
                           static_cast<int>(count));
        return kTfLiteError;
    }
    if (list < 0 || list > choice.words_count - count) {
        TF_LITE_KERNEL_LOG(context, "%s: expected the channels of candidate %d inside choice, received a list at %d",
                           name, static_cast<int>(layer.candidate), static_cast<int>(list));
        return kTfLiteError;
    }
    const int64_t floats = static_cast<int64_t>(layer.copies) * count * layer.stride;
    if (offset < 0 || offset % 2 != 0 || offset > choice.pool_floats - floats) {
        TF_LITE_KERNEL_LOG(
            context, "%s: expected an even offset that keeps the rows of candidate %d inside the pool, received %d",
            name, static_cast<int>(layer.candidate), static_cast<int>(offset));
        return kTfLiteError;
    }
    candidate->channels = choice.words + list;
    candidate->trained = static_cast<uint32_t>(count);
    candidate->begin = offset;
    candidate->end = offset + floats;
    candidate->part = choice.pool == nullptr ? nullptr : choice.pool + offset;
    int32_t previous = -1;
    for (int32_t k = 0; k < count; ++k) {
        const int32_t channel = candidate->channels[k];
        if (channel <= previous || channel >= layer.channels) {
            TF_LITE_KERNEL_LOG(context,
                               "%s: expected ascending channels below %d for candidate %d, received %d after %d", name,
                               static_cast<int>(layer.channels), static_cast<int>(layer.candidate),
                               static_cast<int>(channel), static_cast<int>(previous));
            return kTfLiteError;
        }
        previous = channel;
    }
    return kTfLiteOk;
}

TfLiteStatus ReadCandidate(const Call &call, const char *name, const Layer &layer, int pool, int choice,
                           Candidate *candidate) {
    const Choice content = {call.Ints(choice), call.Count(Input(choice)), call.InOut(pool), call.Count(Input(pool))};
    return ReadCandidate(call.context(), name, layer, content, candidate);
}

void CheckLayer(Preparation &preparation, const Layer &layer, bool may_be_frozen) {
    /* Channels and slots are 16 bits wide, and the largest value marks a frozen channel. */
    preparation.Expect(layer.channels >= 1 && layer.channels < TT_SLOT_FROZEN, "1 to 65534 channels", layer.channels);
    if (may_be_frozen && layer.candidate == TT_OP_FROZEN) {
        preparation.Expect(layer.stride == layer.row_length, "the stride of a filter without biases", layer.stride);
        preparation.Expect(layer.copies == 0, "no copies of a frozen layer", layer.copies);
        return;
    }
    preparation.Expect(layer.candidate >= 0 && layer.candidate < TT_OP_CANDIDATES, "a candidate from 0 to 63",
                       layer.candidate);
    preparation.Expect(layer.stride == RowStride(layer.row_length), "the stride of rows with a bias", layer.stride);
    preparation.Expect(layer.copies >= 1 && layer.copies <= kMaxCopies, "1 to 4 copies", layer.copies);
}

void CheckChoice(Preparation &preparation, const Layer &layer, int pool, int choice, int32_t *trained) {
    *trained = -1;
    const int32_t pool_floats = preparation.Floats(Input(pool), "pool");
    const int32_t words = preparation.IntsAtLeast(Input(choice), "choice", kTriple * (int64_t{layer.candidate} + 1));
    const int32_t *constant = preparation.Constant(choice);
    if (constant == nullptr) {
        return;
    }
    Candidate candidate;
    const Choice content = {constant, words, nullptr, pool_floats};
    if (ReadCandidate(preparation.context(), preparation.name(), layer, content, &candidate) != kTfLiteOk) {
        preparation.Fail();
        return;
    }
    *trained = static_cast<int32_t>(candidate.trained);
}

void CheckRows(Preparation &preparation, const Layer &layer, int first) {
    const int64_t floats = int64_t{layer.channels} * layer.stride;
    if (layer.candidate == TT_OP_FROZEN) {
        preparation.Floats(Input(first), "filter", floats);
        return;
    }
    int32_t trained;
    preparation.Floats(Input(first), "base", floats);
    CheckChoice(preparation, layer, first + 1, first + 2, &trained);
}

TfLiteStatus BuildRows(const Call &call, const char *name, const Layer &layer, int first, void *scratch,
                       tt_rows_t *rows) {
    *rows = {call.In(first), nullptr, nullptr, nullptr, static_cast<uint32_t>(layer.stride), 0u};
    if (layer.candidate == TT_OP_FROZEN) {
        return kTfLiteOk;
    }
    Candidate candidate;
    TF_LITE_ENSURE_STATUS(ReadCandidate(call, name, layer, first + 1, first + 2, &candidate));
    if (candidate.trained == 0u) {
        return kTfLiteOk;
    }
    auto *slots = static_cast<uint16_t *>(scratch);
    uint16_t *channels = slots + layer.channels;
    for (int32_t o = 0; o < layer.channels; ++o) {
        slots[o] = TT_SLOT_FROZEN;
    }
    CopyChannels(candidate, channels);
    for (uint32_t k = 0; k < candidate.trained; ++k) {
        slots[channels[k]] = static_cast<uint16_t>(k);
    }
    rows->pool = candidate.part;
    rows->slot = slots;
    rows->channels = channels;
    rows->trained = candidate.trained;
    return kTfLiteOk;
}

void CopyChannels(const Candidate &candidate, uint16_t *list) {
    for (uint32_t k = 0; k < candidate.trained; ++k) {
        list[k] = static_cast<uint16_t>(candidate.channels[k]);
    }
}

} // namespace tinytrain
