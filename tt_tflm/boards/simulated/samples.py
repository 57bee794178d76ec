# SPDX-License-Identifier: Apache-2.0
"""What a board is given: checks that emulated boards and those at a serial line share."""

from __future__ import annotations

import numpy as np

from tt_tflm.errors import InputError


def checked_x(x: np.ndarray, input_shape: tuple[int, ...], *, pixels: bool = False) -> np.ndarray:
    """A sample, contiguous.

    Args:
        x: float32 or, where `pixels`, uint8; of input_shape, finite.
        input_shape: of the model.
        pixels: whether uint8 is taken as well.

    Raises:
        InputError: x is not as described.
    """
    array = np.asarray(x)
    if array.shape != input_shape:
        raise InputError(
            f"expected x of shape {input_shape}, received {array.shape}: give one sample without batch axis"
        )
    if array.dtype == np.uint8 and pixels:
        return np.ascontiguousarray(array)
    if array.dtype != np.float32:
        expected = "uint8 or float32" if pixels else "float32"
        raise InputError(
            f"expected x of dtype {expected}, received {array.dtype}: scale it as in training and convert it"
        )
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(f"expected finite values in x, received {array[index]} at {index}")
    return np.ascontiguousarray(array)


def checked_target(target: np.ndarray, elements: int) -> np.ndarray:
    """A label that is a vector, contiguous.

    Args:
        target: float32 (elements,), finite.
        elements: of the build's labels.

    Raises:
        InputError: it is not as described.
    """
    array = np.asarray(target)
    if array.shape != (elements,) or array.dtype != np.float32:
        raise InputError(
            f"expected a label that is a vector, float32 ({elements},), received {array.dtype} {array.shape}: give the "
            "target of one sample"
        )
    if not np.isfinite(array).all():
        index = int(np.argmin(np.isfinite(array)))
        raise InputError(f"expected finite values in the label, received {array[index]} at {index}")
    return np.ascontiguousarray(array)


def checked_label(label: int, classes: int) -> int:
    """A label, as an int.

    Raises:
        InputError: it is no whole number from 0 to classes - 1.
    """
    whole = isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_))
    if not whole or not 0 <= label < classes:
        raise InputError(f"expected a label in 0..{classes - 1}, received {label!r}")
    return int(label)
