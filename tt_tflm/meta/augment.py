# SPDX-License-Identifier: Apache-2.0
"""Pseudo-queries as the device makes them: tt_random.c and tt_augment.c in numpy, number for number.

The random numbers are the same bits. Images are the same float32 arithmetic in the same order, except for the mean of
an image, whose sum numpy orders differently: they differ by rounding alone.
"""

from __future__ import annotations

import numpy as np

from tt_tflm.boards.simulated.task import Augment

_MASK = 2**64 - 1
_PCG_MULTIPLIER = 6364136223846793005
_GOLDEN_RATIO = 0x9E3779B97F4A7C15
_ONE = np.float32(1)
_HALF = np.float32(0.5)


class DeviceRandom:
    """The generator of ops/include/tt_random.h: PCG32, begun by three numbers.

    Args:
        seed, iteration, index: each from 0 to 2^32 - 1.
    """

    def __init__(self, seed: int, iteration: int, index: int) -> None:
        of_seed = _mixed((seed + _GOLDEN_RATIO) & _MASK)
        self._state = _mixed(of_seed ^ (iteration << 32 | index))
        self._increment = _mixed((self._state + _GOLDEN_RATIO) & _MASK) | 1

    def next(self) -> int:
        """The next number, 0 to 2^32 - 1."""
        state = self._state
        self._state = (state * _PCG_MULTIPLIER + self._increment) & _MASK
        bits = ((state >> 18 ^ state) >> 27) & 0xFFFFFFFF
        rotation = state >> 59
        return (bits >> rotation | bits << (32 - rotation & 31)) & 0xFFFFFFFF

    def uniform(self) -> np.float32:
        """The next number, a multiple of 2^-24 in [0, 1)."""
        return np.float32((self.next() >> 8) / 2**24)


def _mixed(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def augment(image: np.ndarray, options: Augment, random: DeviceRandom) -> np.ndarray:
    """A pseudo-query: crop, resize, flip, contrast and brightness, clamp (ops/include/tt_augment.h).

    Args:
        image: float32 (H, W, C), finite.
        options: how far it may be from the original.
        random: six numbers are drawn.

    Returns:
        float32 (H, W, C).
    """
    height, width, _ = image.shape
    low, high = np.float32(options.low), np.float32(options.high)
    half_range = _HALF * high - _HALF * low
    least = np.float32(options.min_area)
    area = least + (_ONE - least) * random.uniform()
    scale = np.sqrt(area) if height > 1 and width > 1 else area
    top = (_ONE - scale) * np.float32(height) * random.uniform()
    left = (_ONE - scale) * np.float32(width) * random.uniform()
    flipped = random.uniform() < _HALF and options.flip
    factor = _ONE + _around_zero(random, np.float32(options.contrast))
    shift = _around_zero(random, np.float32(options.brightness) * half_range)
    cropped = sampled(image, top, left, scale, flipped=bool(flipped))
    mean = cropped.mean(dtype=np.float64).astype(np.float32)
    offset = mean * (_ONE - factor) + shift
    return np.clip(cropped * factor + offset, low, high)


def sampled(image: np.ndarray, top: float, left: float, scale: float, *, flipped: bool) -> np.ndarray:
    """A part of an image at the size of the whole, bilinear between the centres of pixels.

    Args:
        image: float32 (H, W, C).
        top, left: origin of the part, in pixels.
        scale: pixels of the image per pixel of the result.
        flipped: columns in reverse order.
    """
    step = np.float32(scale)
    upper, lower, down = _places(image.shape[0], np.float32(top), step)
    first, second, across = (
        part[::-1] if flipped else part for part in _places(image.shape[1], np.float32(left), step)
    )
    across, down = across[:, None], down[:, None, None]
    # Each row of the source once, though it is the upper neighbour of some rows and the lower one of others.
    rows = image[:, first] + (image[:, second] - image[:, first]) * across
    return rows[upper] + (rows[lower] - rows[upper]) * down


def _around_zero(random: DeviceRandom, largest: np.float32) -> np.float32:
    return (np.float32(2) * random.uniform() - _ONE) * largest


def _places(length: int, origin: np.float32, scale: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each index of the result its two neighbours in the source and the share of the second."""
    place = origin + (np.arange(length, dtype=np.float32) + _HALF) * scale - _HALF
    place = np.clip(place, np.float32(0), np.float32(length - 1))
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), place - first.astype(np.float32)
