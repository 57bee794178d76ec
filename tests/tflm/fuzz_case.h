/* SPDX-License-Identifier: Apache-2.0 */
/* Models of one op for fuzz_ops.cc, as tests/tflm/corpus.py writes them. */
#ifndef FUZZ_CASE_H
#define FUZZ_CASE_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

struct Tensor {
    int type;
    bool constant;
    std::vector<int> dims;
    std::vector<uint32_t> content;

    /* By shape; -1 where no such array can exist. */
    int64_t Elements() const {
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

class Reader {
  public:
    explicit Reader(const char *path) : file_(path, std::ios::binary) {
        if (!file_) {
            std::fprintf(stderr, "expected a corpus, received no file %s\n", path);
            std::exit(2);
        }
    }
    uint32_t Word() {
        uint32_t word = 0;
        file_.read(reinterpret_cast<char *>(&word), sizeof word);
        return word;
    }
    template <typename Container> Container Bytes() {
        Container bytes(Word(), 0);
        file_.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return bytes;
    }

  private:
    std::ifstream file_;
};

inline std::vector<Case> ReadCorpus(const char *path) {
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

#endif /* FUZZ_CASE_H */
