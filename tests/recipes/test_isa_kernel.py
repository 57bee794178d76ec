# SPDX-License-Identifier: Apache-2.0
"""The recipe of a kernel for another instruction set: one file, here of another package. Builds for cores that have the
set get it, others do not."""

import sys

import keras
import pytest
from passes import compiled
from passes.kernels.test_elementwise import CASES
from passes.trials import check_op

import tt_tflm
from recipes import outside
from tt_tflm.devices import CORES
from tvm_passes.kernels import variants
from tvm_passes.kernels.tiling import HOST, SCALAR, Tiling, tiling_for

TANH = """
from tvm import tirx

from tvm_passes.kernels.conv2d import buffers
from tvm_passes.kernels.loops import LoopNest, prim_func
from tvm_passes.kernels.variants import variant

@variant("tanh", isa={"hyperbolic"}, headers=("tt_crc32.h",))
def tanh(name, kernel, _tiling):
    x, y = buffers(kernel)
    nest = LoopNest()
    with nest.loop("quick", kernel.params[-1].elements) as i:
        nest.store(y, i, tirx.call_pure_extern("float32", "tanhf", x[i]))
    return {name: prim_func([x, y], nest)}
"""
CORE = """
import someones_kernel
from tt_tflm.devices.cores import Architecture, Core, Toolchain, add_cores

TOOLS = Toolchain(("dsp-gcc",), "dsp-size", "dsp-ar", "gcc-of-dsp")
DSP = Architecture("dsp", frozenset(), TOOLS, lambda core, features: ())
add_cores(Core("dsp1", "a DSP", DSP, {"hyperbolic": (True, False)}))
"""
HYPERBOLIC = Tiling(pairs=False, isa=frozenset({SCALAR, "hyperbolic"}))


@pytest.fixture
def hyperbolic(monkeypatch, tmp_path):
    monkeypatch.setattr(variants, "VARIANTS", list(variants.VARIANTS))
    outside.install(monkeypatch, tmp_path / "site", CORES, "tt_tflm.cores", "someones_dsp", CORE)
    (tmp_path / "site" / "someones_kernel.py").write_text(TANH)
    monkeypatch.setitem(sys.modules, "someones_kernel", None)  # so that it is put back
    del sys.modules["someones_kernel"]
    assert "dsp1" in CORES


def test_builds_for_such_cores_have_it(hyperbolic):
    layers = [keras.Input((8,)), keras.layers.Dense(4, activation="tanh", name="only")]
    converter = tt_tflm.TrainableConverter.from_keras_model(keras.Sequential(layers))
    converter.loss, kernels = tt_tflm.PrototypeLoss(3), {}
    for target in ("dsp1", "host", "cortex-m7"):
        converter.target = target
        files = converter.convert().files
        kernels[target] = "quick" in files["src/tt_model_kernels.c"]
        assert ('"tt_crc32.h"' in files["src/tt_model_kernels.h"]) == kernels[target]
    assert kernels == {"dsp1": True, "host": False, "cortex-m7": False}


def test_it_computes_what_the_kernel_of_all_cores_does(hyperbolic, monkeypatch):
    monkeypatch.setattr(compiled, "TILINGS", {"hyperbolic": HYPERBOLIC})
    monkeypatch.setattr(sys.modules["passes.trials"], "TILINGS", {"hyperbolic": HYPERBOLIC})
    check_op(CASES["tanh"], 10)


def test_the_one_that_wants_most_is_taken(monkeypatch):
    monkeypatch.setattr(variants, "VARIANTS", [])
    for isa in ({"a"}, {"a", "b"}, {"c"}):
        variants.variant("clip", isa=isa)(isa)
    found = [variants.variant_for("clip", "float32", isa) for isa in ({"a"}, {"a", "b", SCALAR}, {SCALAR})]
    assert found == [{"a"}, {"a", "b"}, None]
    assert variants.variant_for("clip", "int8", {"a"}) is None
    with pytest.raises(ValueError, match="expected one float32 variant for"):
        variants.variant("clip", isa={"c"})({"c"})
    with pytest.raises(ValueError, match="wants an instruction set, received none"):
        variants.variant("clip", isa=())({})
    assert tiling_for({SCALAR}) == HOST
