# SPDX-License-Identifier: Apache-2.0
"""The range of a model's input, and samples that do not lie in it.

A build has one scaling of pixels, and the range that pixels have by it is that of the input: pseudo-queries are clamped
to it. Samples of another scale would be learned from without a word, and what is learned would be worth nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.graph import leading_rescaling

if TYPE_CHECKING:
    import keras

_PIXEL_MOST = 255
# A share of the range: interpolation overshoots a little, and a single peak that is cut off by so much harms nobody.
_OVERSHOOT = 0.05


class InputScaling(NamedTuple):
    """How a pixel value from 0 to 255 becomes a model input: ``pixel * scale + shift``."""

    scale: float = 1 / 127.5
    shift: float = -1.0


class InputRange(NamedTuple):
    """Least and greatest value of a model's input."""

    low: float
    high: float

    @classmethod
    def of(cls, scaling: tuple[float, float]) -> InputRange:
        """That of scaled pixels."""
        scale, shift = scaling
        return cls(*sorted((shift, _PIXEL_MOST * scale + shift)))


def scaling_of_pixels(model: keras.Model, given: tuple[float, float] | None) -> InputScaling:
    """How pixels become inputs of a model.

    Args:
        model: built.
        given: by the user; None for x / 127.5 - 1.

    Raises:
        InputError: what is given is no (scale, shift); or nothing is, and the model begins with a Rescaling: pixels
            would be scaled twice.
    """
    if given is None:
        node = leading_rescaling(model)
        if node is not None:
            raise InputError(
                f"layer '{node.name}' (Rescaling): expected to be told how pixels become inputs of a model that "
                f"rescales them itself, received no input_scaling: set it to (1, 0) (--input-scaling 1,0) to hand "
                "pixels of 0 to 255 over as they are"
            )
        return InputScaling()
    try:
        scaling = InputScaling(*map(float, given))
    except (TypeError, ValueError):
        raise InputError(f"input_scaling: expected (scale, shift), received {given!r}") from None
    if not all(map(math.isfinite, scaling)) or scaling.scale == 0:
        raise InputError(f"input_scaling: expected finite numbers and a scale other than 0, received {given!r}")
    return scaling


def check_support(what: str, samples: np.ndarray, bounds: tuple[float, float]) -> None:
    """Refuses samples to make pseudo-queries of: images of another scale, and what augmentation would cut off.

    Args:
        what: they are, for the error.
        samples: float32, finite, (N, *input shape).
        bounds: least and greatest value of a pseudo-query.

    Raises:
        InputError: as ``check_image_scale`` and ``check_clamped``.
    """
    check_image_scale(what, samples, bounds)
    check_clamped(what, samples, bounds)


def check_clamped(what: str, samples: np.ndarray, bounds: tuple[float, float]) -> None:
    """Refuses what augmentation would cut off; arguments as for ``check_support``, samples of any shape.

    Raises:
        InputError: a value lies outside by more than a twentieth of the range.
    """
    if not samples.size:
        return
    least, most = float(samples.min()), float(samples.max())
    if _holds(bounds, least, most):
        return
    wider = _range_around(least, most)
    raise InputError(
        f"{what}: expected values from {bounds[0]:g} to {bounds[1]:g}, which pseudo-queries are clamped to, received "
        f"{least:g} to {most:g}: scale them as in training; if they are, convert with --input-scaling "
        f"{_scaling_text(wider)} (converter.input_scaling), or adapt with Augment(low={wider.low:g}, "
        f"high={wider.high:g})"
    )


def check_image_scale(what: str, samples: np.ndarray, bounds: tuple[float, float]) -> None:
    """Refuses images that are certainly of another scale than the model's.

    Args:
        what: they are, for the error.
        samples: float32, finite, (N, *input shape); anything but images, (N, H, W, 1 or 3), passes.
        bounds: of the model's input, see ``InputRange``.

    Raises:
        InputError: no value is negative, and some lie above the range, or the range has negative values too, or it is
            that of pixels and none lies above 1.
    """
    if samples.ndim != 4 or samples.shape[3] not in (1, 3) or not samples.size:
        return
    least, most = float(samples.min()), float(samples.max())
    of_pixels = bounds[1] >= _PIXEL_MOST
    certain = (
        not _holds(bounds, 0, most) or (of_pixels and most <= 1) or (bounds[0] < 0 and not _are_pixels(samples, bounds))
    )
    if least < 0 or not certain:
        return
    found = (
        InputRange(0, 1) if most <= 1 else InputRange(0, _PIXEL_MOST) if most <= _PIXEL_MOST else _range_around(0, most)
    )
    raise InputError(
        f"{what}: expected images from {bounds[0]:g} to {bounds[1]:g}, as pixels are scaled (input_scaling), received "
        f"{least:g} to {most:g}: scale them so, or save them as uint8; if the model was trained on them as they are, "
        f"convert with --input-scaling {_scaling_text(found)} (converter.input_scaling)"
    )


def _holds(bounds: tuple[float, float], least: float, most: float) -> bool:
    low, high = bounds
    room = _OVERSHOOT * (high - low)
    return low - room <= least and most <= high + room


def _are_pixels(samples: np.ndarray, bounds: tuple[float, float]) -> bool:
    """Whether they are scaled pixels, bright as all of them are."""
    low, high = bounds
    pixels = (samples.astype(np.float64) - low) * (_PIXEL_MOST / (high - low))
    return bool(np.abs(pixels - np.rint(pixels)).max() < 1e-2)


def _range_around(least: float, most: float) -> InputRange:
    """A range of round numbers that holds these."""
    greatest = max(abs(least), abs(most), 1e-6)
    unit = 10.0 ** (math.floor(math.log10(greatest)) - 1)
    bound = math.ceil(greatest / unit) * unit
    return InputRange(0.0 if least >= 0 else -bound, bound)


def _scaling_text(bounds: InputRange) -> str:
    # Rounded up: rounded down, the last digit would cut the greatest value off.
    scale = (bounds.high - bounds.low) / _PIXEL_MOST
    unit = 10.0 ** (math.floor(math.log10(scale)) - 3)
    return f"{math.ceil(scale / unit - 1e-9) * unit:.4g},{bounds.low:g}"
