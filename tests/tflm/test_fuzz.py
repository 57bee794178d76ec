# SPDX-License-Identifier: Apache-2.0
"""Mutated models of every op: refused with a message, or run without touching what is not theirs."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite.op_params import Op

from . import corpus
from .one_op import OneOp

HARNESS = Path(__file__).with_name("fuzz_ops.cc")
CASES = 12_000
IN_THE_WHEEL = 600
# Checks of C++ types would want the C++ driver for the link; the ops have no virtual functions.
# Not optimised: what the kernels inline would take the compiler minutes.
SANITISERS = ("-g1", "-O0", "-fsanitize=address,undefined", "-fno-sanitize=function,vptr", "-fno-sanitize-recover=all")
LINE = re.compile(r"TT_(\w+) cases (\d+) refused (\d+) large (\d+) ran (\d+) stopped (\d+)")


@pytest.fixture(scope="module")
def models():
    return corpus.valid_models(4)


@pytest.fixture(scope="module")
def harness() -> Path:
    compiler = shutil.which("clang")
    if compiler is None:
        pytest.skip("not installed: clang")
    ops = ops_path()
    c = [*(ops / "src").glob("*.c"), *(ops / "kernels/src").glob("*.c")]
    cpp = [*(ops / "tflm").glob("*.cc"), HARNESS]
    units = [CompileUnit(path, ("-std=c99", *SANITISERS)) for path in c]
    units += [CompileUnit(path, ("-std=c++17", *SANITISERS)) for path in cpp]
    includes = (ops / "include", ops / "kernels/include", ops / "kernels/src", ops / "tflm", HARNESS.parent)
    return build_program(compiler, units, includes, SANITISERS, libraries=("-lstdc++", "-lm"))


def test_ops_are_clean_under_sanitisers_whatever_the_model_says(harness, models, tmp_path):
    corpus.write(tmp_path / "corpus", models)
    command = [harness, tmp_path / "corpus", str(CASES), "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    tallies = {m[1]: [int(n) for n in m.groups()[1:]] for m in LINE.finditer(result.stdout)}
    assert {Op[name] for name in tallies} == set(Op)
    cases, refused, large, ran, stopped = np.array(list(tallies.values())).sum(axis=0)
    print(
        f"{cases} mutated models: {refused} refused in Prepare, {ran} ran, {stopped} stopped, {large} too large to run"
    )
    assert cases == CASES >= 10_000
    assert cases == refused + large + ran + stopped
    for name, (_, refused, _, ran, _) in tallies.items():
        assert refused >= 20, f"{name} refused {refused}"
        assert ran >= 20, f"{name} ran {ran}"


def test_mutated_models_do_not_crash_the_interpreter(models):
    rng = np.random.default_rng(2)
    refused = ran = 0
    for number in range(IN_THE_WHEEL):
        model = mutated(rng, models[number % len(models)])
        try:
            model.run()
            ran += 1
        except InputError as error:
            assert f"{model.op.tflite_name}: expected " in str(error), error
            refused += 1
        except DeviceError as error:
            assert f"{model.op.tflite_name}: " in str(error), error
            ran += 1
    print(f"{IN_THE_WHEEL} mutated models in the wheel: {refused} refused, {ran} ran")
    assert refused >= IN_THE_WHEEL // 10
    assert ran >= IN_THE_WHEEL // 10


def mutated(rng: np.random.Generator, model: OneOp) -> OneOp:
    """One change: a word of the parameters, the length of the parameters or of an input, or a whole number in one."""
    kind = rng.integers(4)
    if kind == 0:
        words = np.frombuffer(model.params, np.uint32).copy()
        words[rng.integers(words.size)] = rng.choice(np.uint32([0, 1, 2, 5, 2**31 - 1, 2**31, 2**32 - 1]))
        return replace(model, params=words.tobytes())
    if kind == 1:
        length = int(rng.integers(len(model.params) + 8))
        return replace(model, params=(model.params + bytes(8))[:length])
    index = int(rng.integers(len(model.inputs)))
    value = model.inputs[index]
    if kind == 2:
        longer = np.resize(value.ravel(), value.size + int(rng.integers(1, 3)))
        return model.with_inputs({index: longer if value.size < 3 or rng.integers(2) else longer[: value.size - 2]})
    if value.dtype == np.int32:
        value = value.copy()
        value[rng.integers(value.size)] = rng.choice(np.int32([-1, 0, 1, 2, 100, 2**31 - 1, -(2**31)]))
    return model.with_inputs({index: value})
