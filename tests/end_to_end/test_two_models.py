# SPDX-License-Identifier: Apache-2.0
"""Two models in one program share the runtime and do what each does alone: two of generated C on an emulated core, and
one of generated C beside one of TensorFlow Lite Micro on the host."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

import tt_tflm
from tt_tflm.boards.simulated.host import build_library
from tt_tflm.boards.simulated.qemu import build_board_program, emulator_command
from tt_tflm.boards.simulated.tflm_models import TflmModels, files_for_wheel

CORE = "cortex-m7"
SHAPE = (6, 5, 2)
HERE = Path(__file__).parent
LOG_BYTES, ROUNDS = 8192, 32  # of two_models.c


def net(head: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE)
    x = kl.Conv2D(4, 3, padding="same", activation="relu6", name="stem")(image)
    x = kl.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = kl.GlobalAveragePooling2D(name="mean")(kl.Conv2D(5, 1, name="point")(x))
    return keras.Model(image, kl.Dense(3, name="logits")(x) if head else x, name="net")


def words(backend: str = "c") -> tt_tflm.Build:
    """A board that chooses and adapts; in int8 where it is generated C."""
    converter = tt_tflm.TrainableConverter.from_keras_model(net(head=False))
    converter.name, converter.mode, converter.backend = "words", "dynamic", backend
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(3), tt_tflm.Adam(0.01)
    converter.input_scaling = (1 / 127.5, -1.0)
    if backend == "c":
        converter.precision = "int8"
        samples = np.random.default_rng(0).uniform(-1, 1, (8, *SHAPE))
        converter.representative_data = samples.astype(np.float32)
    return converter.convert()


def machine() -> tt_tflm.Build:
    """A classifier with a fixed plan in float32."""
    converter = tt_tflm.TrainableConverter.from_keras_model(net(head=True))
    converter.name, converter.loss, converter.optimizer = "machine", tt_tflm.SoftmaxLoss(), tt_tflm.SGD(0.05)
    converter.plan = tt_tflm.UpdatePlan(layers={"stem": [1, 2], "logits": "all"})
    return converter.convert()


def merged(*builds: tt_tflm.Build) -> dict[str, str]:
    """The files of all builds in one folder; those of the same path are the same but for what is about one model."""
    files: dict[str, str] = {}
    for build in builds:
        own = {path: text for path, text in build.files.items() if path.startswith(("include/", "src/", "tflm/"))}
        shared = files.keys() & own.keys()
        assert {path: files[path] for path in shared} == {path: own[path] for path in shared}
        assert f"src/{build.simulation['symbol']}.c" not in files
        files |= own
    return files


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def program(path: Path, *names: str) -> Path:
    """The program over the models of these names."""
    parts = " ".join(f"PART({i}, {name}, {name.upper()})" for i, name in enumerate(names))
    lines = [f'#include "{name}.h"' for name in names]
    path.write_text("\n".join([*lines, f"#define PARTS {parts}", f'#include "{HERE / "two_models.c"}"', ""]))
    return path


@pytest.fixture(scope="module")
def on_a_core(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[bytes]]]:
    """Names of the models in a program -> the ELF, and what each of them answered."""
    folder = tmp_path_factory.mktemp("firmware")
    builds = {"words": words(), "machine": machine()}
    files = merged(*builds.values())
    write(folder, files)
    made = {}
    for names in (("words",), ("machine",), ("words", "machine")):
        others = tuple(f"{name}{end}" for name in builds.keys() - names for end in (".c", "_kernels.c", "_weights.c"))
        sources = sorted(path for path in (folder / "src").glob("*.c") if path.name not in others)
        main = program(folder / f"main_{'_'.join(names)}.c", *names)
        kernels = [path for path in sources if path.name.endswith("_kernels.c")]
        plain = [main, *(path for path in sources if path not in kernels)]
        includes = (folder / "include", folder / "src")
        sim = Path(tt_tflm.__file__).parents[1] / "ops" / "sim"
        elf = build_board_program(CORE, plain, kernels, includes, sim, ["-DTO_FILES"])
        place = folder / "_".join(names)
        place.mkdir()
        subprocess.run(emulator_command(CORE, elf), cwd=place, check=True, timeout=120, stdin=subprocess.DEVNULL)
        made[" ".join(names)] = elf, [(place / f"log_{i}").read_bytes() for i in range(len(names))]
    return made


@pytest.mark.qemu
def test_two_models_on_a_core_do_what_each_does_alone(on_a_core: dict[str, tuple[Path, list[bytes]]]) -> None:
    alone = [on_a_core[name][1][0] for name in ("words", "machine")]
    assert all(log.endswith(bytes(4)) and ROUNDS * 12 < len(log) < LOG_BYTES for log in alone)
    assert on_a_core["words machine"][1] == alone


def symbols(elf: Path) -> dict[tuple[str, str], list[int]]:
    """Kind and name of what an ELF holds -> the bytes of each that has the name."""
    listing = subprocess.run(["arm-none-eabi-nm", "-S", elf], check=True, capture_output=True, text=True).stdout
    found: dict[tuple[str, str], list[int]] = {}
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in "tTrR":
            found.setdefault((fields[2], fields[3]), []).append(int(fields[1], 16))
    return found


@pytest.mark.qemu
def test_the_runtime_is_there_once(on_a_core: dict[str, tuple[Path, list[bytes]]]) -> None:
    words_alone, machine_alone, both = (symbols(on_a_core[name][0]) for name in ("words", "machine", "words machine"))
    runtime = [key for key in both if key[0] == "T" and key[1].startswith("tt_")]
    assert {"tt_predict", "tt_train_step", "tt_adapt_step", "tt_save"} <= {name for _, name in runtime}
    for key in runtime:
        assert both[key] == (words_alone.get(key) or machine_alone[key])
    own = [name for kind, name in both if kind in "TR" and not name.startswith("tt_")]
    assert {"words", "machine"} < set(own)
    assert not {name for kind, name in words_alone if kind in "TR" and name.startswith("machine")}
    totals = [sum(sum(sizes) for sizes in of.values()) for of in (words_alone, machine_alone, both)]
    shared = sum(sum(words_alone[key]) for key in runtime if key in words_alone and key in machine_alone)
    assert totals[2] <= totals[0] + totals[1] - shared


def test_a_model_of_generated_c_beside_one_of_tflm(tmp_path: Path) -> None:
    builds = {"machine": machine(), "words": words("tflm")}
    for name, build in builds.items():
        write(tmp_path / name / "build", merged(build))
        build._write(tmp_path / name / "build")
    models = TflmModels(builds["words"].simulation["tflm"], builds["words"].models)
    tflm, defines = files_for_wheel(builds["words"]._simulation_files(tmp_path / "words"), models.arena_bytes)
    c = builds["machine"]._simulation_files(tmp_path / "machine")
    there = {path.name for path in tflm.sources}
    both = dataclasses.replace(
        tflm,
        sources=(*tflm.sources, *(path for path in c.sources if path.name not in there)),
        kernel_sources=c.kernel_sources,
    )
    main = program(tmp_path / "main.c", "machine", "words")
    library = ctypes.CDLL(str(build_library(both, defines, [main], (*c.include_dirs, tmp_path))))
    models.hold(library)

    def logs(first: int, count: int) -> list[bytes]:
        library.interleave(ctypes.c_uint32(first), ctypes.c_uint32(count))
        assert models.take_error() is None
        return [answered(library, i) for i in range(first, first + count)]

    alone = [*logs(0, 1), *logs(1, 1)]
    assert all(log.endswith(bytes(4)) and ROUNDS * 12 < len(log) < LOG_BYTES for log in alone)
    assert logs(0, 2) == alone


def answered(library: ctypes.CDLL, part: int) -> bytes:
    size = ctypes.c_uint32()
    library.log_of.restype = ctypes.c_void_p
    return ctypes.string_at(library.log_of(ctypes.c_uint32(part), ctypes.byref(size)), size.value)
