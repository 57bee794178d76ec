# SPDX-License-Identifier: Apache-2.0
"""Constant arrays as C: weights, codes and the scales of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tt_tflm.program.layout.int8_layer import Int8Layer

_ELEMENTS_IN_A_LINE = {"float": 8, "int8_t": 24}


class ConstantArray(NamedTuple):
    """A constant array: type, name, length and its elements as C."""

    kind: str
    name: str
    size: int
    elements: Sequence[str]

    def definition(self) -> str:
        """The array as C."""
        width = _ELEMENTS_IN_A_LINE.get(self.kind, 2)
        lines = [", ".join(self.elements[i : i + width]) for i in range(0, self.size, width)]
        text = ",\n    ".join(lines)
        return f"TT_ALIGNED const {self.kind} {self.name}[{self.size}] = {{\n    {text}}};\n\n"


def float_array(name: str, array: np.ndarray) -> ConstantArray:
    """An array of floats, flat."""
    values = tuple(array.ravel().tolist())
    return ConstantArray("float", name, array.size, (("%.8ef " * len(values)) % values).split())


def int8_arrays(rows_name: str, channels_name: str, codes: Int8Layer) -> list[ConstantArray]:
    """The rows of a layer and its ``tt_int8_channel_t``."""
    rows = [str(code) for code in codes.rows.ravel().tolist()]
    columns = (codes.weight_scales, codes.bias_scales, codes.multipliers, codes.shifts)
    channels = [
        f"{{{weight:.8e}f, {bias:.8e}f, {multiplier}, {shift}}}"
        for weight, bias, multiplier, shift in zip(*(column.tolist() for column in columns), strict=True)
    ]
    return [
        ConstantArray("int8_t", rows_name, len(rows), rows),
        ConstantArray("tt_int8_channel_t", channels_name, len(channels), channels),
    ]
