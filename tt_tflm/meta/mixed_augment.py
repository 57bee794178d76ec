# SPDX-License-Identifier: Apache-2.0
"""Augmentation of meta-training: what differs between images of a class, and what differs between domains."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.meta.augment import sampled

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class MixedAugment:
    """How training images are changed. Image by image: crop, mirror, brightness, contrast, saturation. Episode by
    episode, because it changes the domain and not the sample: grey, inverted.

    Args:
        min_area: smallest share of the area that a crop keeps, above 0, at most 1.
        flip: probability that an image is mirrored, 0 to 1.
        brightness: largest shift, as a share of half the range, 0 to 1.
        contrast: the factor lies within 1 -+ contrast, 0 to 1.
        saturation: likewise, for colour images.
        grey: probability that an episode is in grey, 0 to 1.
        invert: probability that an episode is inverted, 0 to 1.

    Raises:
        InputError: an argument is out of range.
    """

    min_area: float = 0.4
    flip: float = 0.5
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    grey: float = 0.1
    invert: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            least = 1e-3 if field.name == "min_area" else 0.0
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 1:
                raise InputError(f"MixedAugment: expected {field.name} from {least} to 1, received {value!r}")


OFF = MixedAugment(min_area=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0, grey=0.0, invert=0.0)


def augment_episode(
    images: np.ndarray, options: MixedAugment, low: float, high: float, random: np.random.Generator
) -> np.ndarray:
    """Images of one episode, each changed anew.

    Args:
        images: float32 (N, H, W, C) from low to high.
        options: how.
        low, high: the valid range.
        random: the numbers drawn depend on N alone.

    Returns:
        float32 (N, H, W, C) from low to high.
    """
    colour = images.shape[3] == 3
    grey, invert = random.random(2)
    changed = np.empty_like(images)
    half = (high - low) / 2
    for image, target, drawn in zip(images, changed, random.random((len(images), 7)), strict=True):
        scale = np.sqrt(options.min_area + (1 - options.min_area) * drawn[0])
        height, width, _ = image.shape
        place = ((1 - scale) * height * drawn[1], (1 - scale) * width * drawn[2])
        value = sampled(image, *place, scale, flipped=bool(drawn[3] < options.flip))
        if colour:
            luma = (value @ _LUMA)[..., None]
            keep = 0.0 if grey < options.grey else 1 + options.saturation * (2 * drawn[4] - 1)
            value = luma + (value - luma) * np.float32(keep)
        factor = 1 + options.contrast * (2 * drawn[5] - 1)
        shift = options.brightness * half * (2 * drawn[6] - 1)
        mean = value.mean(dtype=np.float64)
        value = value * np.float32(factor) + np.float32(mean * (1 - factor) + shift)
        if invert < options.invert:
            value = np.float32(low + high) - value
        np.clip(value, np.float32(low), np.float32(high), out=target)
    return changed
