/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives Prepare and Invoke of every op mutated parameters, shapes, types and contents. To be compiled with sanitisers.
 *
 * usage: fuzz_ops CORPUS CASES SEED
 *
 * CORPUS holds valid models of one op as tests/tflm/test_fuzz.py writes them. Prints one line for each op, and fails if an
 * op refused without a message, or wrote into a constant.
 */
#include <map>

#include "fuzz_host.h"
#include "tt_build_losses.h"

namespace {

/* A loss as builds bring their own: everything that it is promised is read and written. */
tt_status_t SquaredError(const float *output, uint32_t elements, const float *target, float *gradient, float *loss) {
    *loss = 0.0f;
    for (uint32_t i = 0; i < elements; ++i) {
        gradient[i] = output[i] - target[0];
        *loss += gradient[i] * gradient[i];
    }
    return TT_OK;
}

tt_status_t OfClass(const float *output, uint32_t elements, uint32_t label, float *gradient, float *loss) {
    const float target = label < elements ? output[label] : 0.0f;
    return SquaredError(output, elements, &target, gradient, loss);
}

const tt_build_loss_t kLosses[] = {{1, OfClass, SquaredError}, {0, nullptr, nullptr}};

constexpr int64_t kLargestToRun = 1 << 18; /* elements of a tensor; larger ones are prepared, but not run */

struct Tally {
    int cases = 0;
    int refused = 0; /* in Prepare */
    int large = 0;   /* accepted, but not run */
    int ran = 0;
    int stopped = 0; /* refused in Invoke */
};

bool Runnable(const Case &one) {
    for (const Tensor &tensor : one.tensors) {
        if (tensor.Elements() < 0 || tensor.Elements() > kLargestToRun) {
            return false;
        }
    }
    return true;
}

/* Constants must exist before Prepare; those that cannot are left to the file's verifier. */
bool Possible(const Case &one) {
    for (const Tensor &tensor : one.tensors) {
        if (tensor.constant && (tensor.Elements() < 1 || tensor.Elements() > kLargestToRun)) {
            return false;
        }
    }
    return true;
}

void Run(Random &random, const Case &one, const TFLMRegistration &registration, Tally &tally) {
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

const TFLMRegistration &Registration(const std::string &name) {
    for (int i = 0; i < TT_OPS; ++i) {
        if (name == tinytrain::RegisteredOp(i).name) {
            return tinytrain::RegisteredOp(i).registration;
        }
    }
    std::fprintf(stderr, "expected a registered op, received %s\n", name.c_str());
    std::exit(2);
}

} // namespace

extern "C" const tt_build_loss_t *tt_build_losses(void) {
    return kLosses;
}

int main(int argc, char **argv) {
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
