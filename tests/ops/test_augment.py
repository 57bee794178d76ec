# SPDX-License-Identifier: Apache-2.0
import ctypes
import platform
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.devices import get_profile

OPS = Path(__file__).parents[2] / "ops"
SOURCES = [OPS / "src/tt_augment.c", OPS / "src/tt_random.c"]
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
SANITISERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# What golden_bytes gives on x86-64 and, emulated, on Cortex-M3 (without an FPU) and Cortex-M7.
GOLDEN_CRC = 0x53DC12C5

# Arrays of exactly the documented size, for the sanitisers to watch.
CHECKS = r"""
#include <stdlib.h>
#include "tt_augment.h"

static void check(uint32_t height, uint32_t width, uint32_t channels, const tt_augment_t *options)
{
    const tt_image_t image = {height, width, channels};
    const size_t elements = (size_t)height * width * channels;
    float *x = calloc(elements, sizeof(float));
    float *out = malloc(elements * sizeof(float));
    for (uint32_t index = 0; index < 40u; ++index) {
        tt_random_t random;
        tt_random_seed(&random, 1u, 0u, index);
        tt_augment(x, out, &image, options, &random);
        tt_random_below(&random, index + 1u);
    }
    free(x);
    free(out);
}

int main(void)
{
    static const tt_augment_t OPTIONS[] = {
        TT_AUGMENT_DEFAULTS, {1.0f, true, 0.0f, 0.0f, -1.0f, 1.0f}, {1e-6f, true, 1.0f, 1.0f, -3e38f, 3e38f}};
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; ++i) {
        for (uint32_t height = 1; height < 6u; ++height) {
            for (uint32_t width = 1; width < 6u; ++width) {
                check(height, width, 1u, &OPTIONS[i]);
                check(height, width, 3u, &OPTIONS[i]);
            }
        }
        check(1u, 1000u, 2u, &OPTIONS[i]);
    }
    return 0;
}
"""


class RandomStruct(ctypes.Structure):
    _fields_ = [("state", ctypes.c_uint64), ("increment", ctypes.c_uint64)]


class ImageStruct(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("height", "width", "channels")]


class OptionsStruct(ctypes.Structure):
    _fields_ = [
        ("min_area", ctypes.c_float),
        ("flip", ctypes.c_bool),
        *[(name, ctypes.c_float) for name in ("brightness", "contrast", "low", "high")],
    ]


DEFAULTS = {"min_area": 0.6, "flip": True, "brightness": 0.3, "contrast": 0.3, "low": -1.0, "high": 1.0}
OFF = DEFAULTS | {"min_area": 1.0, "flip": False, "brightness": 0.0, "contrast": 0.0}
CROP_ONLY = OFF | {"min_area": 0.6, "low": -1e9, "high": 1e9}


def seeded(library: ctypes.CDLL, *numbers: int) -> RandomStruct:
    random = RandomStruct()
    library.tt_random_seed(ctypes.byref(random), *map(ctypes.c_uint32, numbers))
    return random


def augment(library: ctypes.CDLL, x: np.ndarray, options: dict, index: int, *, random=None) -> np.ndarray:
    """The pseudo-query `index` of x (height, width, channels); checks that nothing else was written."""
    guarded, before = np.full(x.size + 2, 7.0, np.float32), x.copy()
    library.tt_augment(
        ctypes.c_void_p(x.ctypes.data),
        ctypes.c_void_p(guarded[1:].ctypes.data),
        ctypes.byref(ImageStruct(*x.shape)),
        ctypes.byref(OptionsStruct(**options)),
        ctypes.byref(random or seeded(library, 1, 2, index)),
    )
    assert guarded[0] == guarded[-1] == 7.0
    np.testing.assert_array_equal(x, before)
    return guarded[1:-1].reshape(x.shape)


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def ramps(height: int, width: int) -> np.ndarray:
    """An image whose channels are its own coordinates: after a crop they tell where each pixel came from."""
    return np.stack(np.mgrid[:height, :width], axis=-1).astype(np.float32)


def oracle(library: ctypes.CDLL, x: np.ndarray, options: dict, index: int) -> np.ndarray:
    """The header's steps in double precision, for the numbers that the seeded generator gives."""
    library.tt_random_uniform.restype = ctypes.c_float
    random = seeded(library, 1, 2, index)
    area, top, left, flip, contrast, brightness = (library.tt_random_uniform(ctypes.byref(random)) for _ in range(6))
    height, width, _ = x.shape
    area = options["min_area"] + (1 - options["min_area"]) * area
    side = np.sqrt(area) if min(height, width) > 1 else area

    def resize(values: np.ndarray, share: float) -> np.ndarray:
        length = len(values)
        places = share * length * (1 - side) + (np.arange(length) + 0.5) * side - 0.5
        flat = values.reshape(length, -1)
        columns = [np.interp(places, np.arange(length), column) for column in flat.T]
        return np.stack(columns, axis=1).reshape(values.shape)

    out = resize(x.astype(np.float64), top)
    out = resize(out.transpose(1, 0, 2), left).transpose(1, 0, 2)
    if flip < 0.5 and options["flip"]:
        out = out[:, ::-1]
    factor = 1 + (2 * contrast - 1) * options["contrast"]
    shift = (2 * brightness - 1) * options["brightness"] * (options["high"] - options["low"]) / 2
    return np.clip(out.mean() + factor * (out - out.mean()) + shift, options["low"], options["high"])


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 3), (1, 2, 1), (1, 40, 2), (9, 1, 3), (2, 2, 1), (7, 5, 3), (28, 28, 1), (64, 48, 3)]
)
@pytest.mark.parametrize("options", [DEFAULTS, OFF, CROP_ONLY, DEFAULTS | {"min_area": 0.01, "low": 0, "high": 0.5}])
def test_steps_agree_with_numpy(runtime, shape, options):
    x = image(sum(shape), *shape)
    for index in range(8):
        actual = augment(runtime.library, x, options, index)
        # The place of a pixel is in single precision, up to the size of the image.
        np.testing.assert_allclose(actual, oracle(runtime.library, x, options, index), atol=1e-6 * max(shape) + 1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 1), (13, 17, 3), (128, 128, 3)])
def test_everything_switched_off_is_the_identity(runtime, shape):
    x = image(0, *shape)
    for index in range(5):
        np.testing.assert_array_equal(augment(runtime.library, x, OFF, index), x)


def test_crops_keep_aspect_and_area_and_lie_within_the_image(runtime):
    height, width = 40, 60
    areas, tops, lefts = [], [], []
    for index in range(300):
        out = augment(runtime.library, ramps(height, width), CROP_ONLY, index)
        down, right = out[20, 30, 0] - out[19, 30, 0], out[20, 30, 1] - out[20, 29, 1]
        np.testing.assert_allclose(down, right, rtol=1e-4)
        assert 0 <= out.min()
        assert (out.max(axis=(0, 1)) <= [height - 1, width - 1]).all()
        areas.append(down * right)
        room = 1 - down
        tops.append((out[20, 30, 0] + 0.5 - 20.5 * down) / (room * height))
        lefts.append((out[20, 30, 1] + 0.5 - 30.5 * right) / (room * width))
    assert 0.6 - 1e-4 <= min(areas) < 0.62
    assert 0.98 < max(areas) <= 1 + 1e-4
    np.testing.assert_allclose(np.mean(areas), 0.8, atol=0.02)
    for shares in (tops, lefts):
        assert min(shares) > -1e-2
        assert max(shares) < 1 + 1e-2
        np.testing.assert_allclose(np.mean(shares), 0.5, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 64), (64, 1)])
def test_signals_are_cropped_along_their_length(runtime, shape):
    shares = []
    for index in range(200):
        out = augment(runtime.library, ramps(*shape), CROP_ONLY, index)
        along, across = (out[..., 1], out[..., 0]) if shape[0] == 1 else (out[..., 0], out[..., 1])
        assert not across.any()
        shares.append(np.diff(along.ravel())[32])
    assert 0.6 - 1e-4 <= min(shares) < 0.63
    assert 0.97 < max(shares) <= 1 + 1e-4


def test_flips_half_of_the_images_where_allowed(runtime):
    x = ramps(4, 6)
    flipped = 0
    for index in range(400):
        np.testing.assert_array_equal(augment(runtime.library, x, OFF | {"high": 9.0}, index), x)
        out = augment(runtime.library, x, OFF | {"high": 9.0, "flip": True}, index)
        reverse = out[0, 0, 1] > 0
        np.testing.assert_array_equal(out, x[:, ::-1] if reverse else x)
        flipped += reverse
    assert 160 < flipped < 240


def test_brightness_shifts_by_a_share_of_half_the_range(runtime):
    x = np.zeros((3, 3, 2), np.float32)
    options = OFF | {"brightness": 0.3, "low": -4.0, "high": 2.0}
    shifts = np.array([augment(runtime.library, x, options, index)[0, 0, 0] for index in range(400)])
    assert -0.9 <= shifts.min() < -0.85
    assert 0.85 < shifts.max() <= 0.9


def test_contrast_stretches_around_the_mean(runtime):
    x = image(4, 8, 8, 3) / 4 + np.float32(0.25)
    factors = []
    for index in range(400):
        out = augment(runtime.library, x, OFF | {"contrast": 0.3}, index)
        np.testing.assert_allclose(out.mean(), x.mean(), rtol=1e-4)
        factors.append(out.std() / x.std())
    assert 0.7 - 1e-4 <= min(factors) < 0.72
    assert 1.28 < max(factors) <= 1.3 + 1e-4


def test_values_are_clamped_to_the_valid_range(runtime):
    x = 50 * image(5, 9, 9, 3)
    out = augment(runtime.library, x, DEFAULTS | {"low": -0.25, "high": 0.5}, 0)
    assert (out.min(), out.max()) == (-0.25, 0.5)


def test_unlimited_range_without_brightness(runtime):
    largest = float(np.finfo(np.float32).max)
    x = 1e6 * image(6, 9, 9, 3)
    options = DEFAULTS | {"brightness": 0.0, "low": -largest, "high": largest}
    assert np.isfinite(augment(runtime.library, x, options, 0)).all()


def test_same_seed_gives_the_same_bits_and_another_another_image(runtime):
    x = image(7, 20, 20, 3)
    first = [augment(runtime.library, x, DEFAULTS, index) for index in range(10)]
    again = [augment(runtime.library, x, DEFAULTS, index) for index in range(10)]
    np.testing.assert_array_equal(first, again)
    assert len({image.tobytes() for image in first}) == 10


def test_as_many_numbers_are_drawn_whatever_is_switched_off(runtime):
    x = image(8, 6, 6, 1)
    after = set()
    for options in (DEFAULTS, OFF, CROP_ONLY, DEFAULTS | {"flip": False}):
        random = seeded(runtime.library, 1, 2, 3)
        augment(runtime.library, x, options, 3, random=random)
        after.add(random.state)
    assert len(after) == 1


def golden_bytes(library: ctypes.CDLL) -> bytes:
    """Augmented images and numbers of the generator, of an input that is exact."""
    x = ((np.arange(31 * 29 * 3) * 37 % 256) / 128 - 1).astype(np.float32).reshape(31, 29, 3)
    images = [augment(library, x, DEFAULTS, index) for index in range(20)]
    images += [augment(library, x.reshape(1, -1, 3), DEFAULTS, index) for index in range(20)]
    library.tt_random_uniform.restype = ctypes.c_float
    library.tt_random_below.restype = ctypes.c_uint32
    random = ctypes.byref(seeded(library, 3, 2, 1))
    uniform = [library.tt_random_uniform(random) for _ in range(50)]
    below = [library.tt_random_below(random, 1 + 7 * i) for i in range(50)]
    return b"".join([*(i.tobytes() for i in images), np.float32(uniform).tobytes(), np.uint32(below).tobytes()])


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", ["-std=c99 -O0", "-std=c99 -O2", "-std=gnu99 -O3 -mfma", "-std=gnu99 -Os"])
def test_bits_are_the_same_however_it_is_compiled(compiler, flags, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"not installed: {compiler}")
    if "-mfma" in flags and not has_fused_multiply_add():
        pytest.skip("this machine has no fused multiply-add of x86-64")
    library = tmp_path / "library.so"
    command = [compiler, *flags.split(), "-shared", "-fPIC", f"-I{OPS / 'include'}", *SOURCES, "-lm", "-o", library]
    subprocess.run(command, check=True)
    checksum = zlib.crc32(golden_bytes(ctypes.CDLL(str(library))))
    assert checksum == GOLDEN_CRC


def has_fused_multiply_add() -> bool:
    information = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and information.exists() and " fma " in information.read_text()


def test_cortex_m_does_not_fuse_multiply_and_add():
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("not installed: arm-none-eabi-gcc")
    # The dialect in which GCC contracts unless it is told not to, as Zephyr and Arduino compile.
    command = ["arm-none-eabi-gcc", *get_profile("cortex-m7").cpu_flags, "-std=gnu99", "-O2", f"-I{OPS / 'include'}"]
    listing = subprocess.run([*command, "-S", SOURCES[0], "-o", "-"], check=True, capture_output=True, text=True).stdout
    assert "vmul.f32" in listing
    assert not re.search(r"vfn?m[as]|vn?ml[as]", listing)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_clean_under_sanitisers(compiler, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"not installed: {compiler}")
    main, program = tmp_path / "checks.c", tmp_path / "checks"
    main.write_text(CHECKS)
    command = [compiler, *SANITISERS, *WARNINGS, f"-I{OPS / 'include'}", main, *SOURCES, "-lm", "-o", program]
    subprocess.run(command, check=True)
    subprocess.run([program], check=True, timeout=60)
