# SPDX-License-Identifier: Apache-2.0
"""The range of a model's input, and samples that do not lie in it.

A build has one scaling of pixels, and the range that pixels have by it is that of the input: pseudo-queries are clamped
to it. Samples of another scale would be learned from without a word, and what is learned would be worth nothing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tt_tflm.errors import InputError, meant, tell
from tt_tflm.frontend.preprocessing import leading_preprocessing

if TYPE_CHECKING:
    import keras

_PIXEL_MOST = 255
# A share of the range: interpolation overshoots a little, and a single peak that is cut off by so much harms nobody.
_OVERSHOOT = 0.05
# Shares of the range beyond either end that another unit or scale reaches, and noise or another gain does not: of the
# range of representative data, which what is beyond is cut off to, and of that of pixels, which standardised images
# leave by far less.
_FAR_FROM_DATA, _FAR_FROM_PIXELS = 0.5, 2.0


class InputScaling(NamedTuple):
    """How a pixel value from 0 to 255 becomes a model input: ``pixel * scale + shift``."""

    scale: float = 1 / 127.5
    shift: float = -1.0


# Of integers: what the model takes are the numbers themselves.
AS_THEY_ARE = InputScaling(1.0, 0.0)
NONE, MODEL = "none", "model"
ScalingChoice = tuple[float, float] | str | None
_INTEGER = re.compile(r"u?int\d+$")


class InputRange(NamedTuple):
    """Least and greatest value of a model's input."""

    low: float
    high: float

    @classmethod
    def of(cls, scaling: tuple[float, float]) -> InputRange:
        """That of scaled pixels."""
        scale, shift = scaling
        return cls(*sorted((shift, _PIXEL_MOST * scale + shift)))


_DEFAULT = tuple(InputRange.of(InputScaling()))


def given_scaling(given: ScalingChoice) -> InputScaling | None:
    """What a user gives as scaling.

    Args:
        given: (scale, shift), or these as text with a comma between; ``none`` for values as they are; ``model`` or None
            for what the model, or the build, tells.

    Returns:
        None for what the model tells.

    Raises:
        InputError: it is none of these.
    """
    if given is None or (isinstance(given, str) and given == MODEL):
        return None
    if isinstance(given, str) and given == NONE:
        return AS_THEY_ARE
    try:
        scale, shift = map(float, given.split(",") if isinstance(given, str) else given)
    except (TypeError, ValueError):
        raise InputError(
            f"input_scaling: expected two numbers SCALE,SHIFT like 0.00392157,0, or {NONE} or {MODEL}, received "
            f"{given!r}{meant(given, (NONE, MODEL))}"
        ) from None
    if not (math.isfinite(scale) and math.isfinite(shift)) or scale == 0:
        raise InputError(f"input_scaling: expected finite numbers and a scale other than 0, received {given!r}")
    return InputScaling(scale, shift)


def scaling_of_pixels(model: keras.Model, given: ScalingChoice) -> InputScaling:
    """How pixels become inputs of a model.

    Args:
        model: built.
        given: as for ``given_scaling``. What a model tells: one that scales its input itself (Rescaling, Normalization,
            or the arithmetic of a preprocessing), or whose input is of integers, takes values as they are, any other
            x / 127.5 - 1.

    Raises:
        InputError: what is given is no scaling, or scales the pixels of a model that takes uint8.
    """
    scaling = given_scaling(given)
    kinds = {str(tensor.dtype) for tensor in getattr(model, "inputs", None) or ()}
    if scaling is None:
        integers = bool(kinds) and all(map(_INTEGER.match, kinds))
        return AS_THEY_ARE if integers or leading_preprocessing(model) is not None else InputScaling()
    if kinds == {"uint8"} and scaling != AS_THEY_ARE:
        raise InputError(
            f"input '{model.inputs[0].name}': expected input_scaling {NONE} for a model that takes uint8, received "
            f"{scaling.scale:g},{scaling.shift:g}: leave it out, or build the model on a float32 input"
        )
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
        InputError: no value is negative, and some lie above the range, or the range has negative values too; or the
            range is that of pixels and all values lie from -1 to 1, not all of them whole.
    """
    if samples.ndim != 4 or samples.shape[3] not in (1, 3) or not samples.size:
        return
    least, most = float(samples.min()), float(samples.max())
    of_pixels = bounds[1] >= _PIXEL_MOST
    # Whole numbers may be a mask of 0 and 1.
    scaled = of_pixels and -1 <= least and most <= 1 and not np.array_equal(samples, np.rint(samples))
    certain = not _holds(bounds, 0, most) or (bounds[0] < 0 and not _are_pixels(samples, bounds))
    if not scaled and (least < 0 or not certain):
        return
    if most <= 1:
        found = InputRange(0 if least >= 0 else -1, 1)
    else:
        found = InputRange(0, _PIXEL_MOST) if most <= _PIXEL_MOST else _range_around(0, most)
    raise InputError(
        f"{what}: expected images from {bounds[0]:g} to {bounds[1]:g}, as pixels are scaled (input_scaling), received "
        f"{least:g} to {most:g}: scale them so, or save them as uint8; if the model was trained on them as they are, "
        f"convert with --input-scaling {_scaling_text(found)} (converter.input_scaling)"
    )


def warn_of_outliers(
    what: str, samples: np.ndarray, bounds: tuple[float, float], calibrated: tuple[float, float] | None = None
) -> None:
    """Tells of samples far outside of the range that a build was made for: what is learned may be worth nothing.

    Args:
        what: they are.
        samples: float32, finite, (N, *input shape).
        bounds: of the input as pixels are scaled; those of the default say nothing of samples that are no images, which
            may have any unit.
        calibrated: least and greatest value that an int8 build has codes for; None in float32.
    """
    if not samples.size:
        return
    least, most = float(samples.min()), float(samples.max())
    images = samples.ndim == 4 and samples.shape[3] in (1, 3)
    if calibrated is not None and not _holds(calibrated, least, most, _FAR_FROM_DATA):
        tell(
            f"{what}: values from {least:g} to {most:g} lie far outside of {calibrated[0]:g} to {calibrated[1]:g}, the "
            "range of the representative data, and are cut off to it: scale them as those, or convert with others"
        )
    if calibrated is not None or (not images and tuple(bounds) == _DEFAULT):
        return
    if not _holds(bounds, least, most, _FAR_FROM_PIXELS):
        tell(
            f"{what}: values from {least:g} to {most:g} lie far outside of {bounds[0]:g} to {bounds[1]:g}, the range "
            "of the model's input: scale them as in training; if they are, convert with --input-scaling "
            f"{_scaling_text(_range_around(least, most))} (converter.input_scaling)"
        )


def _holds(bounds: tuple[float, float], least: float, most: float, share: float = _OVERSHOOT) -> bool:
    low, high = bounds
    room = share * (high - low)
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
