# SPDX-License-Identifier: Apache-2.0
"""The Zephyr module of a build of the backend tflm: what is in it, and its applications around an interpreter of the
tests."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from emit.workshop import need

import tt_tflm
from tt_tflm.emit.tflm.session import resolver_method
from tt_tflm.export.zephyr.module import export_zephyr, zephyr_files
from tt_tflm.state.personalisation import Personalisation

from . import zephyr_host
from .test_zephyr import EXAMPLE, new_flash, task  # noqa: F401
from .tflm_server import KERNELS, NO_OPS, served

FIRMWARE = EXAMPLE.parent / "tflm_firmware" / "main.cc"
SHIM = Path(__file__).parent / "tflm_shim"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
TOLERANCE = 1e-5
NO_KERNEL = re.compile(rf"(?!({'|'.join(KERNELS)})\.c$)")
CONFIG = {"TENSORFLOW_LITE_MICRO": "y", "TINYTRAIN": "y", "TINYTRAIN_CONSOLE": "y"}
# It chooses on the board; its plan is fixed, and it adapts; it takes one step after the other.
KINDS = ("dynamic", "static", "softmax")


def _build(small_net, kind: str, backend: str = "tflm") -> tt_tflm.Build:
    converter = tt_tflm.TrainableConverter.from_keras_model(small_net.small_model())
    converter.target, converter.backend = "cortex-m55" if backend == "tflm" else "host", backend
    converter.loss, converter.optimizer = (
        tt_tflm.PrototypeLoss(classes=3),
        tt_tflm.Adam(learning_rate=0.003, batch_size=3),
    )
    if kind == "dynamic":
        converter.mode, converter.budget = "dynamic", tt_tflm.Budget(ram="48KB", training_memory="24KB")
        return converter.convert()
    if kind == "softmax":
        converter.loss, converter.optimizer = tt_tflm.SoftmaxLoss(), tt_tflm.SGD(learning_rate=0.01)
    converter.plan = tt_tflm.UpdatePlan(layers={"reduce": "all", "project": [0, 3, 7]})
    return converter.convert()


@pytest.fixture(scope="module")
def builds(small_net) -> dict[str, tt_tflm.Build]:
    pytest.importorskip("tflite_micro")
    return {kind: _build(small_net, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def modules(builds, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("zephyr")
    for kind, build in builds.items():
        (root / kind).mkdir()
        export_zephyr(build, root / kind / "module")
    return {kind: root / kind / "module" for kind in builds}


@pytest.fixture(scope="module")
def build(builds) -> tt_tflm.Build:
    return builds["dynamic"]


@pytest.fixture(scope="module")
def module(modules) -> Path:
    return modules["dynamic"]


def test_the_arrays_are_the_models(build, module):
    for name in ("train", "fisher"):
        text = (module / "src" / f"tt_model_{name}.c").read_text()
        numbers = bytes(map(int, text.split("= {")[1].split("}")[0].replace(",", " ").split()))
        assert numbers == build.models[f"{name}.tflite"]
        assert f"[{len(numbers)}] __attribute__((aligned(16)))" in text


def test_every_source_is_compiled_and_kernels_with_their_flags(module):
    config = zephyr_host.configure(module, **CONFIG)
    sources = {source.resolve() for source in zephyr_host.sources_of(module, config)}
    retained = module / "zephyr" / "src" / "tt_zephyr_storage_retained.c"
    present = {
        path
        for folder in ("src", "tflm", "console", "zephyr")
        for path in (module / folder).rglob("*.c*")
        if path.suffix in {".c", ".cc"}
    }
    assert sources == present - {retained}
    fast = (
        (module / "zephyr" / "CMakeLists.txt")
        .read_text()
        .split("set_source_files_properties(")[1]
        .split("PROPERTIES")[0]
    )
    assert "tt_conv2d_grad_weights.c" in fast and "tt_all_finite.c" not in fast and "tt_state_read.c" not in fast


def test_no_kernel_is_called_as_a_call_of_the_interface(module):
    def functions(*names: str) -> set[str]:
        texts = (re.sub(r"/\*.*?\*/", "", (module / "include" / name).read_text(), flags=re.DOTALL) for name in names)
        return {name for text in texts for name in re.findall(r"^[\w *]+?\b(tt_\w+)\(", text, re.MULTILINE)}

    interface = {"tt_session.h", "tt_adapt.h", "tt_enrolment.h", "tt_inspection.h"}
    others = [path.name for path in (module / "include").iterdir() if path.name not in interface]
    assert "tt_accumulate" in functions(*interface) and "tt_add_to" in functions(*others)
    assert functions(*interface) & functions(*others) == set()


def test_it_needs_tensorflow_lite_micro(module):
    config = zephyr_host.configure(module)
    assert config.syms["TINYTRAIN"].set_value("y")
    assert config.syms["TINYTRAIN"].str_value == "n"
    config = zephyr_host.configure(module, **CONFIG)
    assert config.syms["TINYTRAIN_STORAGE_FLASH"].str_value == "y"
    assert int(config.syms["TINYTRAIN_ARENA_BYTES"].str_value) > 0
    assert "CONFIG_TENSORFLOW_LITE_MICRO=y" in (module / "samples" / "enroll_and_adapt" / "prj.conf").read_text()


def test_the_sample_describes_itself(module):
    sample = yaml.safe_load((module / "samples" / "enroll_and_adapt" / "sample.yaml").read_text())
    assert sample["common"]["harness_config"]["regex"]
    readme = (module / "samples" / "enroll_and_adapt" / "README.rst").read_text()
    assert "Zephyr's tflite-micro" in readme and "\n\n\n" not in readme
    assert "{{" not in readme and "{%" not in readme


def test_a_build_of_before_is_refused(build):
    simulation = {name: value for name, value in build.simulation.items() if name != "lists_bytes"}
    with pytest.raises(tt_tflm.InputError, match=r"expected a build with include/tt_model.h, .*: convert again"):
        zephyr_files(dataclasses.replace(build, simulation=simulation))


def test_builtin_operators_are_called_as_the_resolver_calls_them():
    names = "ADD AVERAGE_POOL_2D CONV_2D FULLY_CONNECTED HARD_SWISH LEAKY_RELU PADV2 RELU6 SOFTMAX"
    methods = re.findall(r"resolver\.Add(\w+)\(", FIRMWARE.read_text())
    assert {resolver_method(name) for name in names.split()} <= set(methods)


def program(module: Path, application: str, folder: Path) -> Path:
    """An application of a module, under the sanitizers."""
    need("gcc", "g++")
    console = "y" if application.startswith("samples") else "n"
    config = zephyr_host.configure(module, **CONFIG | {"TINYTRAIN_CONSOLE": console})
    header = folder / "autoconf.h"
    config.write_autoconf(str(header))
    (folder / "ops.cc").write_text(NO_OPS)
    includes = [f"-I{path}" for path in (SHIM, module / "include", module / "tflm")]
    sanitizers = [flag for flag in zephyr_host.FLAGS if not flag.startswith("-std")]
    cpp = ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti", *sanitizers, *WARNINGS, "-imacros", header, *includes]
    own = module / "tflm" / "tt_interpreter.cc"
    result = subprocess.run([*cpp, "-c", own, folder / "ops.cc"], cwd=folder, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return zephyr_host.build(
        module,
        application,
        config,
        folder / "build",
        only=NO_KERNEL,
        objects=(folder / "tt_interpreter.o", folder / "ops.o"),
    )


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_the_sample_adapts_as_the_simulated_board_and_remembers(
    small_net,
    builds,
    modules,
    kind,
    task,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    build, firmware = builds[kind], program(modules[kind], "samples/enroll_and_adapt", tmp_path)
    flash, iterations = new_flash(tmp_path), 3
    x, labels = task.samples(task.SHOTS, seed=0)
    queries = task.samples(2, seed=1)[0]
    monkeypatch.setenv("TT_SHIM_TFLM", str(tmp_path / "line"))
    with served(build, tmp_path / "line"):
        with zephyr_host.started(firmware, flash) as port, tt_tflm.Board(port) as board:
            assert (board.status().mode, board.status().samples) == (build.report_data["mode"], 0)
            for sample, label in zip(x, labels, strict=True):
                board.enroll(sample, int(label))
            losses = board.adapt(iterations).losses
            scores = np.stack([board.predict(query) for query in queries])
            state = board.save()
            again = board.adapt(iterations, gradient="constant", seed=3).losses
        with zephyr_host.started(firmware, flash) as port, tt_tflm.Board(port) as board:
            assert (np.stack([board.predict(query) for query in queries]) == scores).all()
            assert Personalisation.from_bytes(board.save()).steps == iterations
    pixels, unseen = ((images / np.float32(127.5) - 1).astype(np.float32) for images in (x, queries))
    with build.simulate() as simulated:
        result = simulated.adapt(pixels, labels, iterations)
        expected = np.stack([simulated.predict(query) for query in unseen])
        expected_again = simulated.adapt(pixels, labels, iterations, gradient="constant", seed=3).losses
    np.testing.assert_allclose(losses, result.losses, atol=TOLERANCE)
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE)
    np.testing.assert_allclose(again, expected_again, atol=TOLERANCE)
    assert abs(losses[0] - losses[-1]) > 1e-3
    saved = Personalisation.from_bytes(state)
    if kind == "dynamic":
        chosen = {build.layers[layer.number].name: layer.channels for layer in saved.layers if layer.channels}
        assert chosen == {name: channels for name, (channels, *_) in result.plan.layers.items()}
        # The state is that of any build of the model: the C backend goes on from it.
        with _build(small_net, kind, backend="c").simulate() as simulated:
            simulated.load(state)
            np.testing.assert_allclose([simulated.predict(query) for query in unseen], scores, atol=TOLERANCE)


def test_what_was_saved_is_what_is_loaded(builds, modules, tmp_path, monkeypatch):
    firmware = program(modules["softmax"], "tests/persistence", tmp_path)
    monkeypatch.setenv("TT_SHIM_TFLM", str(tmp_path / "line"))
    with served(builds["softmax"], tmp_path / "line"), zephyr_host.started(firmware, new_flash(tmp_path)) as port:
        with open(port, "rb") as line:
            assert line.readline() == b"PASS: what was learned came back\n"
