# SPDX-License-Identifier: Apache-2.0
"""The device's pseudo-queries in numpy: the device code itself, compiled for this machine, is the oracle."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.boards.simulated.task import Augment
from tt_tflm.boards.simulated.toolchain import find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.files.ops_path import ops_path
from tt_tflm.meta.augment import DeviceRandom, augment

SEEDS = ((0, 0, 0), (1, 2, 3), (2**32 - 1, 4095, 99), (7, 39, 49))


class Random(ctypes.Structure):
    _fields_ = [("state", ctypes.c_uint64), ("increment", ctypes.c_uint64)]


class Image(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("height", "width", "channels")]


class Options(ctypes.Structure):
    _fields_ = [
        ("min_area", ctypes.c_float),
        ("flip", ctypes.c_bool),
        *[(name, ctypes.c_float) for name in ("brightness", "contrast", "low", "high")],
    ]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    root = Path(str(ops_path()))
    target = tmp_path_factory.mktemp("augment") / "augment.so"
    sources = [root / "src/tt_augment.c", root / "src/tt_random.c"]
    flags = ["-std=c99", "-O2", "-fPIC", "-shared", f"-I{root / 'include'}"]
    compiler = find_compiler(get_profile("host"))
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(target), "-lm"], check=True)
    library = ctypes.CDLL(str(target))
    library.tt_random_next.restype = ctypes.c_uint32
    library.tt_random_uniform.restype = ctypes.c_float
    return library


def seeded(device: ctypes.CDLL, numbers: tuple[int, int, int]) -> Random:
    random = Random()
    device.tt_random_seed(ctypes.byref(random), *map(ctypes.c_uint32, numbers))
    return random


@pytest.mark.parametrize("numbers", SEEDS)
def test_random_numbers_are_the_devices(device: ctypes.CDLL, numbers: tuple[int, int, int]) -> None:
    theirs, ours = seeded(device, numbers), DeviceRandom(*numbers)
    assert [ours.next() for _ in range(200)] == [device.tt_random_next(ctypes.byref(theirs)) for _ in range(200)]
    for _ in range(50):
        assert ours.uniform() == device.tt_random_uniform(ctypes.byref(theirs))


@pytest.mark.parametrize("shape", [(32, 32, 3), (17, 9, 1), (1, 40, 2), (40, 1, 1), (1, 1, 3)])
@pytest.mark.parametrize(
    "options",
    [
        Augment(),
        Augment(flip=True),
        Augment(min_area=0.2, brightness=1.0, contrast=1.0),
        Augment(min_area=1.0, brightness=0.0, contrast=0.0, low=-100.0, high=100.0),
    ],
)
def test_images_are_the_devices(device: ctypes.CDLL, shape: tuple[int, ...], options: Augment) -> None:
    image = np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
    given = Options(options.min_area, options.flip, options.brightness, options.contrast, options.low, options.high)
    for numbers in SEEDS:
        theirs = np.empty(shape, np.float32)
        device.tt_augment(
            ctypes.c_void_p(image.ctypes.data),
            ctypes.c_void_p(theirs.ctypes.data),
            ctypes.byref(Image(*shape)),
            ctypes.byref(given),
            ctypes.byref(seeded(device, numbers)),
        )
        np.testing.assert_allclose(augment(image, options, DeviceRandom(*numbers)), theirs, rtol=0, atol=2e-6)


def test_everything_switched_off_changes_nothing() -> None:
    image = np.random.default_rng(4).uniform(-1, 1, (8, 6, 3)).astype(np.float32)
    off = Augment(min_area=1.0, brightness=0.0, contrast=0.0, low=-100.0, high=100.0)
    np.testing.assert_array_equal(augment(image, off, DeviceRandom(0, 0, 0)), image)
