# SPDX-License-Identifier: Apache-2.0
"""What is refused changes nothing, and results do not depend on calls that left the weights as they were: random walks
over the whole interface (refused_calls.c) on every loss with every optimiser, mode, precision and backend."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

import tt_tflm
from tt_tflm.boards.simulated.tflm_models import TflmModels, files_for_wheel

from .models import LOSSES, OPTIMIZERS
from .workshop import MODEL_SOURCES, SANITIZED, SavedBuild, need

WALKS = Path(__file__).with_name("refused_calls.c")
SEEDS, STEPS = 4, 250
TFLM_SEEDS, TFLM_STEPS = 2, 60
LIBRARY = ("-std=gnu99", "-O1", "-fPIC")
SHAPE = (6, 5, 2)
PLAN = {"stem": [0, 2], "depthwise": "all"}
KINDS = list(itertools.product(LOSSES, OPTIMIZERS, ("static", "dynamic")))


@functools.cache
def converter(loss: str) -> tt_tflm.TrainableConverter:
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    x = kl.Conv2D(3, 3, padding="same", activation="relu6", name="stem")(image)
    x = kl.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = kl.GlobalAveragePooling2D(name="mean")(kl.Conv2D(4, 1, activation="relu", name="point")(x))
    x = kl.Dense(3, name="logits")(x) if loss == "softmax" else x
    made = tt_tflm.TrainableConverter.from_keras_model(keras.Model(image, x, name="net"))
    made.loss, made.input_scaling = LOSSES[loss], (1 / 127.5, -1.0)
    return made


def build_of(kind: tuple[str, str, str], backend: str, precision: str, folder: Path) -> tt_tflm.Build:
    """A build of that kind; batches of one and of three by turns, written to a folder."""
    loss, optimizer, mode = kind
    made = converter(loss)
    made.mode, made.backend, made.precision = mode, backend, precision
    made.plan = tt_tflm.UpdatePlan(layers=PLAN) if mode == "static" else None
    samples = np.random.default_rng(4).uniform(-1, 1, (8, *SHAPE)).astype(np.float32)
    made.representative_data = samples if precision == "int8" else None
    made.optimizer = OPTIMIZERS[optimizer](
        learning_rate=0.01, batch_size=1 + 2 * ((KINDS.index(kind) + len(precision)) % 2)
    )
    build = made.convert()
    build._write(folder)  # without the report, for which a cross compiler would compile the sources
    return build


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_walks_over_generated_c(
    kind: tuple[str, str, str], precision: str, runtime_object: Callable[..., Path], tmp_path: Path
) -> None:
    need("gcc")
    build_of(kind, "c", precision, tmp_path / "build")
    build = SavedBuild(tmp_path / "build")
    objects = [
        runtime_object("gcc", source, build.include) for source in build.sources if source.name not in MODEL_SOURCES
    ]
    program = tmp_path / "walks"
    sizes = ("-DTT_WALK_MAIN", f"-DTT_WALK_SEEDS={SEEDS}", f"-DTT_WALK_STEPS={STEPS}")
    command = ["gcc", *SANITIZED, *sizes, build.include, WALKS, *build.model_sources(), *objects, "-lm", "-o", program]
    subprocess.run(command, check=True)
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own; nothing is allocated.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run([program], capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_walks_over_tflm(kind: tuple[str, str, str], runtime_object: Callable[..., Path], tmp_path: Path) -> None:
    need("gcc")
    build = build_of(kind, "tflm", "float32", tmp_path / "build")
    models = TflmModels(build.simulation["tflm"], build.models)
    files, defines = files_for_wheel(build._simulation_files(tmp_path), models.arena_bytes)
    includes = tuple(f"-I{folder}" for folder in files.include_dirs)
    own = [path for path in files.sources if path.name in (*MODEL_SOURCES, "tt_wheel_interpreter.c")]
    objects = [runtime_object("gcc", path, *includes, flags=LIBRARY) for path in files.sources if path not in own]
    library = tmp_path / "walks.so"
    command = ["gcc", *LIBRARY, "-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs", *defines, *includes, WALKS, *own, *objects]
    subprocess.run([*command, "-lm", "-o", library], check=True)
    walks = ctypes.CDLL(str(library))
    models.hold(walks)
    for name in ("tt_walk_quiet", "tt_walk_noisy", "tt_walk_wild", "tt_rate_of_0"):
        getattr(walks, name).restype = ctypes.c_char_p
    for seed in range(1, TFLM_SEEDS + 1):
        for walk in (walks.tt_walk_quiet, walks.tt_walk_noisy, walks.tt_walk_wild):
            assert walk(ctypes.c_uint32(seed), ctypes.c_uint32(TFLM_STEPS)) is None
    assert walks.tt_rate_of_0() is None
