/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives Prepare and Invoke of every op mutated parameters, shapes, types and contents, in a context of its own in which
 * every tensor, every scratch buffer and the parameters are heap blocks of exactly their size. To be compiled with
 * sanitisers.
 *
 * usage: fuzz_ops CORPUS CASES SEED
 *
 * CORPUS holds valid models of one op as tests/tflm/test_fuzz.py writes them. Prints one line for each op, and fails if an
 * op refused without a message, or wrote into a constant.
 */
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tt_op_params.h"
#include "tt_register_ops.h"

namespace {

constexpr int64_t kLargestToRun = 1 << 18; /* elements of a tensor; larger ones are prepared, but not run */

class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 2685821657736338717u + 1u) {}

    uint32_t Next()
    {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 2685821657736338717u) >> 32);
    }
    uint32_t Below(size_t bound) { return Next() % static_cast<uint32_t>(bound); }
    bool Chance(uint32_t percent) { return Below(100) < percent; }

private:
    uint64_t state_;
};

struct Tensor {
    int type;
    bool constant;
    std::vector<int> dims;
    std::vector<uint32_t> content;

    /* By shape; -1 where no such array can exist. */
    int64_t Elements() const
    {
        int64_t elements = 1;
        for (const int dim : dims) {
            if (dim < 0 || elements * dim > INT32_MAX) {
                return -1;
            }
            elements *= dim;
        }
        return elements;
    }
};

struct Case {
    std::string name;
    std::vector<uint8_t> params;
    std::vector<int> inputs;
    std::vector<int> outputs;
    std::vector<Tensor> tensors;
};

/* ---------------------------------------------------------------- corpus */

class Reader {
public:
    explicit Reader(const char *path) : file_(path, std::ios::binary)
    {
        if (!file_) {
            std::fprintf(stderr, "expected a corpus, received no file %s\n", path);
            std::exit(2);
        }
    }
    uint32_t Word()
    {
        uint32_t word = 0;
        file_.read(reinterpret_cast<char *>(&word), sizeof word);
        return word;
    }
    template <typename Container>
    Container Bytes()
    {
        Container bytes(Word(), 0);
        file_.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return bytes;
    }

private:
    std::ifstream file_;
};

std::vector<Case> ReadCorpus(const char *path)
{
    Reader reader(path);
    std::vector<Case> corpus(reader.Word());
    for (Case &one : corpus) {
        one.name = reader.Bytes<std::string>();
        one.params = reader.Bytes<std::vector<uint8_t>>();
        const uint32_t inputs = reader.Word();
        const uint32_t outputs = reader.Word();
        for (uint32_t i = 0; i < inputs + outputs; ++i) {
            Tensor tensor;
            tensor.type = static_cast<int>(reader.Word());
            tensor.constant = reader.Word() != 0u;
            tensor.dims.resize(reader.Word());
            for (int &dim : tensor.dims) {
                dim = static_cast<int>(reader.Word());
            }
            tensor.content.resize(reader.Word());
            for (uint32_t &word : tensor.content) {
                word = reader.Word();
            }
            (i < inputs ? one.inputs : one.outputs).push_back(static_cast<int>(i));
            one.tensors.push_back(tensor);
        }
    }
    return corpus;
}

/* ---------------------------------------------------------------- mutation */

uint32_t MutatedWord(Random &random, uint32_t word)
{
    static const uint32_t interesting[] = {
        0u,          1u,          2u,          3u,          7u,         31u,         32u,
        63u,         64u,         0xffffu,     0x10000u,    0x7fffffffu, 0x80000000u, 0xffffffffu,
        0xfffffffeu, 0x3fffffffu, 0x20000000u, 0x7fc00000u /* NaN */,    0x7f800000u, 0xff800000u /* infinities */,
        0x3f800000u, 0x7f7fffffu /* FLT_MAX */, 0x00000001u};
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

void MutateContent(Random &random, Case &one)
{
    Tensor &tensor = one.tensors[random.Below(one.tensors.size())];
    if (!tensor.content.empty()) {
        uint32_t &word = tensor.content[random.Below(tensor.content.size())];
        word = MutatedWord(random, word);
    }
}

void MutateParams(Random &random, Case &one)
{
    const size_t words = one.params.size() / 4u;
    if (words == 0u || random.Chance(5)) {
        const uint32_t change = 1u + random.Below(8);
        one.params.resize(random.Chance(50) ? one.params.size() + change
                                            : one.params.size() - (change < one.params.size() ? change : one.params.size()));
        return;
    }
    const size_t at = 4u * random.Below(words);
    uint32_t word;
    std::memcpy(&word, &one.params[at], sizeof word);
    word = MutatedWord(random, word);
    std::memcpy(&one.params[at], &word, sizeof word);
}

void MutateShape(Random &random, Case &one)
{
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

void MutateNode(Random &random, Case &one)
{
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
void Mutate(Random &random, Case &one)
{
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

/* ---------------------------------------------------------------- the context */

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
using Block = std::unique_ptr<void, Free>;

Block Allocate(size_t bytes)
{
    Block block(std::malloc(bytes));
    if (block == nullptr) {
        std::abort();
    }
    return block;
}

Block IntArray(const std::vector<int> &values)
{
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
    Host(Random &random, const Case &one) : random_(random), case_(one), params_(Allocate(one.params.size()))
    {
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

    TfLiteStatus Prepare(const TFLMRegistration &registration)
    {
        const TfLiteStatus status = registration.prepare(&context_, &node_);
        CheckMessage(status);
        return status;
    }

    TfLiteStatus Invoke(const TFLMRegistration &registration)
    {
        const TfLiteStatus status = registration.invoke(&context_, &node_);
        CheckMessage(status);
        for (size_t i = 0; i < case_.tensors.size(); ++i) {
            if (case_.tensors[i].constant && std::memcmp(eval_[i].data.data, &filled_[i][0], 4u * filled_[i].size()) != 0) {
                std::fprintf(stderr, "%s wrote into a constant\n", case_.name.c_str());
                std::exit(1);
            }
        }
        return status;
    }

    /* Memory for what Prepare may not see yet; scratch holds whatever was there before, like an arena. */
    void Place()
    {
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
    void Disturb()
    {
        const size_t i = random_.Below(eval_.size());
        if (!case_.tensors[i].constant && !filled_[i].empty()) {
            auto *words = static_cast<uint32_t *>(eval_[i].data.data);
            uint32_t &word = words[random_.Below(filled_[i].size())];
            word = MutatedWord(random_, word);
        }
    }

private:
    static Host &Of(const TfLiteContext *context) { return *static_cast<Host *>(context->impl_); }

    static void ReportError(TfLiteContext *context, const char *format, ...)
    {
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        Of(context).message_ = text;
    }

    void CheckMessage(TfLiteStatus status)
    {
        const bool told = message_.rfind(case_.name + ": ", 0) == 0;
        if ((status != kTfLiteOk) != told) {
            std::fprintf(stderr, "%s: status %d with the message '%s'\n", case_.name.c_str(), static_cast<int>(status),
                         message_.c_str());
            std::exit(1);
        }
    }

    void *Keep(Block block)
    {
        kept_.push_back(std::move(block));
        return kept_.back().get();
    }

    /* Words that the case does not give are random. */
    void Fill(size_t i)
    {
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

/* ---------------------------------------------------------------- the run */

struct Tally {
    int cases = 0;
    int refused = 0; /* in Prepare */
    int large = 0;   /* accepted, but not run */
    int ran = 0;
    int stopped = 0; /* refused in Invoke */
};

bool Runnable(const Case &one)
{
    for (const Tensor &tensor : one.tensors) {
        if (tensor.Elements() < 0 || tensor.Elements() > kLargestToRun) {
            return false;
        }
    }
    return true;
}

/* Constants must exist before Prepare; those that cannot are left to the file's verifier. */
bool Possible(const Case &one)
{
    for (const Tensor &tensor : one.tensors) {
        if (tensor.constant && (tensor.Elements() < 1 || tensor.Elements() > kLargestToRun)) {
            return false;
        }
    }
    return true;
}

void Run(Random &random, const Case &one, const TFLMRegistration &registration, Tally &tally)
{
    Host host(random, one);
    ++tally.cases;
    if (host.Prepare(registration) != kTfLiteOk) {
        ++tally.refused;
        return;
    }
    if (!Runnable(one)) {
        ++tally.large;
        return;
    }
    host.Place();
    for (int times = 0; times < 3; ++times) {
        if (host.Invoke(registration) != kTfLiteOk) {
            ++tally.stopped;
            return;
        }
        host.Disturb();
    }
    ++tally.ran;
}

const TFLMRegistration &Registration(const std::string &name)
{
    for (int i = 0; i < TT_OPS; ++i) {
        if (name == tinytrain::RegisteredOp(i).name) {
            return tinytrain::RegisteredOp(i).registration;
        }
    }
    std::fprintf(stderr, "expected a registered op, received %s\n", name.c_str());
    std::exit(2);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: fuzz_ops CORPUS CASES SEED\n");
        return 2;
    }
    const std::vector<Case> corpus = ReadCorpus(argv[1]);
    const int cases = std::atoi(argv[2]);
    Random random(static_cast<uint64_t>(std::atoll(argv[3])));
    std::map<std::string, Tally> tallies;
    for (const Case &one : corpus) {
        Tally unchanged;
        Run(random, one, Registration(one.name), unchanged);
        if (unchanged.refused != 0 || unchanged.large != 0) {
            std::fprintf(stderr, "%s: expected a corpus of valid models, received one that Prepare refuses\n",
                         one.name.c_str());
            return 2;
        }
    }
    for (int done = 0; done < cases;) {
        Case one = corpus[static_cast<size_t>(done) % corpus.size()];
        Mutate(random, one);
        if (Possible(one)) {
            Run(random, one, Registration(one.name), tallies[one.name]);
            ++done;
        }
    }
    for (const auto &[name, tally] : tallies) {
        std::printf("%s cases %d refused %d large %d ran %d stopped %d\n", name.c_str(), tally.cases, tally.refused,
                    tally.large, tally.ran, tally.stopped);
    }
    return 0;
}
