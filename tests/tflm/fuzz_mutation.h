/* SPDX-License-Identifier: Apache-2.0 */
/* Random changes to a model of one op. */
#ifndef FUZZ_MUTATION_H
#define FUZZ_MUTATION_H

#include <cstring>

#include "fuzz_case.h"

class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed * 2685821657736338717u + 1u) {
    }

    uint32_t Next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 2685821657736338717u) >> 32);
    }
    uint32_t Below(size_t bound) {
        return Next() % static_cast<uint32_t>(bound);
    }
    bool Chance(uint32_t percent) {
        return Below(100) < percent;
    }

  private:
    uint64_t state_;
};

inline uint32_t MutatedWord(Random &random, uint32_t word) {
    static const uint32_t interesting[] = {0u,          1u,
                                           2u,          3u,
                                           7u,          31u,
                                           32u,         63u,
                                           64u,         0xffffu,
                                           0x10000u,    0x7fffffffu,
                                           0x80000000u, 0xffffffffu,
                                           0xfffffffeu, 0x3fffffffu,
                                           0x20000000u, 0x7fc00000u /* NaN */,
                                           0x7f800000u, 0xff800000u /* infinities */,
                                           0x3f800000u, 0x7f7fffffu /* FLT_MAX */,
                                           0x00000001u};
    switch (random.Below(5)) {
    case 0:
        return word + 1u;
    case 1:
        return word - 1u;
    case 2:
        return word ^ (1u << random.Below(32));
    case 3:
        return random.Below(12);
    default:
        return interesting[random.Below(sizeof interesting / sizeof interesting[0])];
    }
}

inline void MutateContent(Random &random, Case &one) {
    Tensor &tensor = one.tensors[random.Below(one.tensors.size())];
    if (!tensor.content.empty()) {
        uint32_t &word = tensor.content[random.Below(tensor.content.size())];
        word = MutatedWord(random, word);
    }
}

inline void MutateParams(Random &random, Case &one) {
    const size_t words = one.params.size() / 4u;
    if (words == 0u || random.Chance(5)) {
        const uint32_t change = 1u + random.Below(8);
        one.params.resize(random.Chance(50)
                              ? one.params.size() + change
                              : one.params.size() - (change < one.params.size() ? change : one.params.size()));
        return;
    }
    const size_t at = 4u * random.Below(words);
    uint32_t word;
    std::memcpy(&word, &one.params[at], sizeof word);
    word = MutatedWord(random, word);
    std::memcpy(&one.params[at], &word, sizeof word);
}

inline void MutateShape(Random &random, Case &one) {
    Tensor &tensor = one.tensors[random.Below(one.tensors.size())];
    if (tensor.dims.empty() || random.Chance(10)) {
        tensor.dims.push_back(static_cast<int>(random.Below(4)));
    } else if (random.Chance(10)) {
        tensor.dims.pop_back();
    } else {
        int &dim = tensor.dims[random.Below(tensor.dims.size())];
        dim = static_cast<int>(MutatedWord(random, static_cast<uint32_t>(dim)));
    }
}

inline void MutateNode(Random &random, Case &one) {
    std::vector<int> &list = random.Chance(30) && !one.outputs.empty() ? one.outputs : one.inputs;
    switch (random.Below(6)) {
    case 0:
        one.tensors[random.Below(one.tensors.size())].type = static_cast<int>(random.Below(11));
        break;
    case 1:
        one.tensors[random.Below(one.tensors.size())].constant ^= true;
        break;
    case 2:
        list.push_back(static_cast<int>(random.Below(one.tensors.size())));
        break;
    case 3:
        if (!list.empty()) {
            list.pop_back();
        }
        break;
    case 4:
        if (!list.empty()) {
            list[random.Below(list.size())] = -1;
        }
        break;
    default:
        if (!list.empty()) {
            list[random.Below(list.size())] = static_cast<int>(random.Below(one.tensors.size()));
        }
        break;
    }
}

/* At least one change; content and parameters most often, since most other changes are refused at once. */
inline void Mutate(Random &random, Case &one) {
    do {
        const uint32_t kind = random.Below(100);
        if (kind < 35) {
            MutateContent(random, one);
        } else if (kind < 75) {
            MutateParams(random, one);
        } else if (kind < 90) {
            MutateShape(random, one);
        } else {
            MutateNode(random, one);
        }
    } while (random.Chance(35));
}

#endif /* FUZZ_MUTATION_H */
