# SPDX-License-Identifier: Apache-2.0
"""Samples of whatever numbers, as what the rest takes: uint8, which is scaled, or float32, which is taken as it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tt_tflm.errors import InputError, tell

_KINDS = "biuf"


def as_samples(where: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of uint8 and float32 as they are, all others as float32; one warning tells which were cast.

    Args:
        where: they come from, for the warning.
        arrays: by what they are called in messages; floats, integers and bools of any size.

    Raises:
        InputError: an array holds no real numbers, or finite ones beyond float32.
    """
    fitted = {name: _as_sample(name, array) for name, array in arrays.items()}
    cast = {name: array.dtype for name, array in arrays.items() if fitted[name].dtype != array.dtype}
    if cast:
        kinds = " and ".join(dict.fromkeys(map(str, cast.values())))
        unscaled = "" if all(kind.kind == "f" for kind in cast.values()) else " (only uint8 is scaled by input_scaling)"
        tell(f"{where}: expected uint8 or float32, received {kinds}: cast to float32, values as they are{unscaled}")
    return fitted


def _as_sample(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype in (np.uint8, np.float32):
        return array
    if array.dtype.kind not in _KINDS:
        raise InputError(
            f"{name}: expected uint8 or float32, or other real numbers to be cast to float32, received {array.dtype}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.array_equal(np.isfinite(fitted), np.isfinite(array)):
        raise InputError(
            f"{name}: expected values that float32 holds, up to 3.4e38, received {array.dtype} beyond: scale them"
        )
    return fitted
