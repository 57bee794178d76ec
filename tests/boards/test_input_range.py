# SPDX-License-Identifier: Apache-2.0
"""Samples of another scale than the model's: which are refused, and that the remedy works."""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from tt_tflm.boards.episode import load_episode
from tt_tflm.boards.input_range import (
    InputRange,
    InputScaling,
    check_image_scale,
    check_support,
    given_scaling,
    scaling_of_pixels,
    warn_of_outliers,
)
from tt_tflm.boards.simulated.task import Augment
from tt_tflm.errors import InputError, InputWarning

IMAGE, VECTOR = (6, 8, 8, 3), (6, 64, 3)
DEFAULT, UNIT, PIXELS = InputScaling(), InputScaling(1 / 255, 0.0), InputScaling(1.0, 0.0)


def spread(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """float32 samples, least and greatest value exactly these."""
    return (
        np.random.default_rng(0)
        .permutation(np.linspace(low, high, int(np.prod(shape)), dtype=np.float32))
        .reshape(shape)
    )


# Shape, range of the samples, scaling; whether they are refused as images and, where pseudo-queries are made, at all.
CASES = {
    "images as the model takes them": (IMAGE, -1, 1, DEFAULT, False, False),
    "a little beyond, as resizing leaves them": (IMAGE, -1.08, 1.08, DEFAULT, False, False),
    "0 to 255": (IMAGE, 0, 255, DEFAULT, True, True),
    "0 to 1": (IMAGE, 0, 1, DEFAULT, True, True),
    "0 to 1 where that is right": (IMAGE, 0, 1, UNIT, False, False),
    "0 to 255 where 0 to 1 is right": (IMAGE, 0, 255, UNIT, True, True),
    "-1 to 1 where 0 to 1 is right": (IMAGE, -1, 1, UNIT, False, True),
    "0 to 255 where that is right": (IMAGE, 0, 255, PIXELS, False, False),
    "0 to 1 where 0 to 255 is right": (IMAGE, 0, 1, PIXELS, True, True),
    "-1 to 1 where 0 to 255 is right": (IMAGE, -1, 1, PIXELS, True, True),
    "metres per second squared": (VECTOR, -19.6, 21.3, DEFAULT, False, True),
    "a vector from 0 to 1": (VECTOR, 0, 1, DEFAULT, False, False),
    "decibels as an image": (IMAGE, -80.0, 3.0, DEFAULT, False, True),
    "a spectrum of large numbers": (IMAGE, 0.0, 4321.0, DEFAULT, True, True),
}


def refusal(check, samples: np.ndarray, scaling: InputScaling) -> str | None:
    try:
        check("support_x", samples, InputRange.of(scaling))
    except InputError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("support_x: expected ")
        return str(error)
    return None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_refused_is_taken_with_the_scaling_that_the_refusal_names(case) -> None:
    shape, low, high, scaling, as_images, clamped = case
    samples = spread(shape, low, high)
    for check, expected in ((check_image_scale, as_images), (check_support, clamped)):
        message = refusal(check, samples, scaling)
        assert (message is not None) == expected, message
        if message:
            scale, shift = re.search(r"--input-scaling (\S+),(\S+) \(", message).groups()
            assert refusal(check, samples, InputScaling(float(scale), float(shift))) is None
        if message and (augment := re.search(r"Augment\(low=(\S+), high=(\S+)\)", message)):
            options = Augment(low=float(augment[1]), high=float(augment[2]))
            check("support_x", samples, (options.low, options.high))


def test_bright_pixels_are_no_images_of_another_scale() -> None:
    pixels = np.random.default_rng(0).integers(130, 256, IMAGE)
    check_support("support_x", (pixels / 127.5 - 1).astype(np.float32), InputRange.of(DEFAULT))


def test_a_mask_may_be_what_a_model_of_pixels_takes() -> None:
    check_support("support_x", np.random.default_rng(0).integers(0, 2, IMAGE).astype(np.float32), InputRange.of(PIXELS))


def test_an_episode_of_floats_is_checked_and_one_of_pixels_is_scaled(tmp_path: Path) -> None:
    labels = np.arange(6) % 2
    for dtype, refused in ((np.uint8, False), (np.float32, True)):
        x = spread(IMAGE, 0, 255).astype(dtype)
        np.savez(tmp_path / "e.npz", support_x=x, support_y=labels, query_x=x, query_y=labels)
        if refused:
            with pytest.raises(InputError, match="episode array support_x: expected images from -1 to 1"):
                load_episode(tmp_path / "e.npz", IMAGE[1:])
            load_episode(tmp_path / "e.npz", IMAGE[1:], PIXELS)
        else:
            assert load_episode(tmp_path / "e.npz", IMAGE[1:]).support_x.min() == -1


def of_dtype(*layers: keras.layers.Layer, dtype: str = "float32") -> keras.Model:
    return keras.Sequential([keras.Input(IMAGE[1:], dtype=dtype), *layers])


def test_a_model_that_scales_its_input_takes_pixels_as_they_are() -> None:
    L = keras.layers
    own, rest = L.Rescaling(1 / 255), lambda: [L.GlobalAveragePooling2D(), L.Dense(2)]
    assert scaling_of_pixels(of_dtype(own, *rest()), None) == PIXELS
    assert scaling_of_pixels(of_dtype(L.Dropout(0.1), L.ZeroPadding2D(), own, *rest()), "model") == PIXELS
    assert scaling_of_pixels(of_dtype(L.Conv2D(2, 1), L.Rescaling(2.0), *rest()), None) == DEFAULT
    assert scaling_of_pixels(of_dtype(own, *rest()), (2, 3)) == (2, 3)
    assert scaling_of_pixels(of_dtype(*rest()), "none") == PIXELS


def test_a_model_that_takes_integers_takes_them_as_they_are() -> None:
    for dtype in ("uint8", "int16", "int32"):
        assert scaling_of_pixels(of_dtype(keras.layers.Flatten(), dtype=dtype), None) == PIXELS
    pixels = of_dtype(keras.layers.Flatten(), dtype="uint8")
    with pytest.raises(InputError, match=r"^input .* expected input_scaling none for a model that takes uint8, rec"):
        scaling_of_pixels(pixels, tuple(DEFAULT))
    assert scaling_of_pixels(pixels, (1, 0)) == PIXELS


@pytest.mark.parametrize("wrong", [1, (1, 2, 3), "ab", "1", (1,), "nan,0", (0, 1), (float("nan"), 0), True, "modle"])
def test_what_is_no_scaling_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="input_scaling: expected"):
        given_scaling(wrong)


# Shape, range of the samples, scaling, range of the representative data; whether it is told.
FAR = {
    "images in the range": (IMAGE, -1, 1, DEFAULT, None, False),
    "images of other contrast": (IMAGE, -1.9, 1.9, DEFAULT, None, False),
    "standardised images": (IMAGE, -4.5, 4.5, DEFAULT, None, False),
    "decibels as an image": (IMAGE, -80, 3, DEFAULT, None, True),
    "a vector of any unit": (VECTOR, -2000, 2000, DEFAULT, None, False),
    "a vector beyond what was said": (VECTOR, -2000, 2000, UNIT, None, True),
    "a vector as the representative data": (VECTOR, -2000, 2000, DEFAULT, (-1900, 1800), False),
    "a vector beyond the representative data": (VECTOR, -2000, 2000, DEFAULT, (-2, 2), True),
}


@pytest.mark.parametrize("case", FAR.values(), ids=FAR)
def test_samples_far_outside_are_told_of(case) -> None:
    shape, low, high, scaling, calibrated, tells = case
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_of_outliers("episode", spread(shape, low, high), InputRange.of(scaling), calibrated)
        if tells and calibrated is None:
            scale, shift = re.search(r"--input-scaling (\S+),(\S+) \(", str(told[0].message)).groups()
            warn_of_outliers("again", spread(shape, low, high), InputRange.of((float(scale), float(shift))), None)
    assert len(told) == tells
    for warning in told:
        assert warning.category is InputWarning
        assert f"episode: values from {low:g} to {high:g} lie far outside of" in str(warning.message)
