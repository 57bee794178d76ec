# SPDX-License-Identifier: Apache-2.0
"""The Zephyr module of a build of the backend tflm: what is in it, and its sample around an interpreter of the tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from emit.workshop import need

import tt_tflm
from tt_tflm.export import export_zephyr, zephyr_files
from tt_tflm.export.zephyr_tflm import _method

from . import zephyr_host
from .test_zephyr import EXAMPLE, new_flash

FIRMWARE = EXAMPLE.parent / "tflm_firmware" / "main.cc"
SHIM = Path(__file__).parent / "tflm_shim"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
# The operators are compiled in tests/tflm.
OPS = '#include "tt_register_ops.h"\nconst tinytrain::OpEntry &tinytrain::RegisteredOp(int)\n{\n    static const OpEntry op = {};\n    return op;\n}\n'
RUNTIME = re.compile(r"tt_(state|crc32|all_finite|status|train|zephyr)")


@pytest.fixture(scope="module")
def build(small_net):
    converter = tt_tflm.TrainableConverter.from_keras_model(small_net.small_model())
    converter.target, converter.backend = "cortex-m55", "tflm"
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=3), tt_tflm.Adam(learning_rate=0.003)
    converter.plan = tt_tflm.UpdatePlan(layers={"reduce": "all", "project": [0, 3, 7]})
    return converter.convert()


@pytest.fixture(scope="module")
def module(build, tmp_path_factory) -> Path:
    pytest.importorskip("tflite_micro")
    folder = tmp_path_factory.mktemp("zephyr") / "module"
    export_zephyr(build, folder)
    return folder


def test_the_array_is_the_model(build, module):
    text = (module / "model" / "tt_train_model.c").read_text()
    numbers = bytes(map(int, text.split("= {")[1].split("}")[0].replace(",", " ").split()))
    assert numbers == build.models["train.tflite"]
    assert f"[{len(numbers)}] __attribute__((aligned(16)))" in text


def test_every_source_is_compiled_and_kernels_with_their_flags(module):
    config = zephyr_host.configure(module, TENSORFLOW_LITE_MICRO="y", TINYTRAIN="y")
    sources = {source.resolve() for source in zephyr_host.sources_of(module, config)}
    retained = module / "zephyr" / "src" / "tt_zephyr_storage_retained.c"
    present = {path for folder in ("src", "tflm", "model", "zephyr") for path in (module / folder).rglob("*.c*") if path.suffix in (".c", ".cc")}  # fmt: skip
    assert sources == present - {retained}
    fast = (module / "zephyr" / "CMakeLists.txt").read_text().split("set_source_files_properties(")[1].split("PROPERTIES")[0]
    assert "tt_conv2d_grad_weights.c" in fast and "tt_all_finite.c" not in fast and "tt_state_read.c" not in fast


def test_it_needs_tensorflow_lite_micro(module):
    config = zephyr_host.configure(module)
    assert config.syms["TINYTRAIN"].set_value("y")
    assert config.syms["TINYTRAIN"].str_value == "n"
    config = zephyr_host.configure(module, TENSORFLOW_LITE_MICRO="y", TINYTRAIN="y")
    assert config.syms["TINYTRAIN_STORAGE_FLASH"].str_value == "y"
    assert int(config.syms["TINYTRAIN_ARENA_BYTES"].str_value) > 0


def test_the_sample_describes_itself(module):
    about = yaml.safe_load((module / "zephyr" / "module.yml").read_text())
    assert about["samples"] == ["samples"] and "tests" not in about
    sample = yaml.safe_load((module / "samples" / "train_and_remember" / "sample.yaml").read_text())
    assert sample["common"]["harness_config"]["regex"]
    readme = (module / "samples" / "train_and_remember" / "README.rst").read_text().splitlines()
    titles = [line for line, rule in zip(readme, readme[1:], strict=False) if set(rule) in ({"*"}, {"#"})]
    assert titles[1:] == ["Overview", "Requirements", "Building and Running", "Sample Output"]
    assert (module / "samples" / "train_and_remember" / "boards" / "mps3_corstone300_an547.overlay").is_file()


def test_builtin_operators_are_called_as_the_resolver_calls_them():
    names = "ADD AVERAGE_POOL_2D CONV_2D FULLY_CONNECTED HARD_SWISH LEAKY_RELU PADV2 RELU6 SOFTMAX"
    methods = re.findall(r"resolver\.Add(\w+)\(", FIRMWARE.read_text())
    assert {_method(name) for name in names.split()} <= set(methods)


def test_the_sample_trains_saves_and_loads(module, tmp_path):
    need("gcc", "g++")
    config = zephyr_host.configure(module, TENSORFLOW_LITE_MICRO="y", TINYTRAIN="y")
    header = tmp_path / "autoconf.h"
    config.write_autoconf(str(header))
    (tmp_path / "ops.cc").write_text(OPS)
    folders = (SHIM, module / "include", module / "model", module / "tflm", module / "zephyr" / "include")
    includes = [f"-I{folder}" for folder in folders]
    sanitizers = [flag for flag in zephyr_host.FLAGS if not flag.startswith("-std")]
    cpp = ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti", *sanitizers, *WARNINGS, "-imacros", header, *includes]
    wrapper = module / "model" / "tt_tflm_model.cc"
    result = subprocess.run([*cpp, "-c", wrapper, tmp_path / "ops.cc"], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    program = zephyr_host.build(
        module, "samples/train_and_remember", config, tmp_path / "build", only=RUNTIME,
        objects=(tmp_path / "tt_tflm_model.o", tmp_path / "ops.o"),
    )  # fmt: skip
    said = []
    flash = new_flash(tmp_path)
    for _ in range(2):
        with zephyr_host.started(program, flash) as port, open(port, "rb") as line:
            said.append([line.readline()])
            while not said[-1][-1].startswith((b"PASS", b"FAIL")):
                said[-1].append(line.readline())
    first, second = said
    assert first[0].startswith(b"arena ") and first[0] == second[0]
    # The shim's losses of ten passes over three classes; the second time it goes on from what was saved.
    assert first[1:] == [b"loss 611 to 34 thousandths\n", b"PASS: the same scores after loading\n"]
    assert second[1:] == [
        b"what was saved is loaded\n",
        b"loss 31 to 16 thousandths\n",
        b"PASS: the same scores after loading\n",
    ]


def test_a_build_that_chooses_is_refused(small_net, tmp_path):
    converter = tt_tflm.TrainableConverter.from_keras_model(small_net.small_model())
    converter.target, converter.backend, converter.mode = "cortex-m55", "tflm", "dynamic"
    converter.loss = tt_tflm.PrototypeLoss(classes=3)
    with pytest.raises(tt_tflm.InputError, match="expected a static build of backend 'tflm' .* examples/tflm_firmware"):
        zephyr_files(converter.convert())
