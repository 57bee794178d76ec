# SPDX-License-Identifier: Apache-2.0
"""Constant arrays: weights, codes and the scales of their channels, as text for a C compiler and as bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tt_tflm.program.layout.int8_layer import Int8Layer

_LINES_A_PIECE = 512
_BREAK = ",\n    "


@dataclass(frozen=True)
class _Element:
    """An element of an array: how it lies in memory, as C, and how many of them make a line."""

    dtype: np.dtype
    text: str
    in_a_line: int


# Little-endian, as are all cores that builds are made for.
ELEMENTS = {
    "float": _Element(np.dtype("<f4"), "%.8ef", 8),
    "int8_t": _Element(np.dtype("i1"), "%d", 24),
    "tt_int8_channel_t": _Element(
        np.dtype([("weight_scale", "<f4"), ("bias_scale", "<f4"), ("multiplier", "<i4"), ("shift", "<i4")]),
        "{%.8ef, %.8ef, %d, %d}",
        2,
    ),
}
"""By C type."""


@dataclass(frozen=True)
class ConstantArray:
    """A constant array of a build.

    Args:
        kind: the C type of its elements, one of `ELEMENTS`.
        name: in C.
        values: its elements as they lie in memory, one axis.
    """

    kind: str
    name: str
    values: np.ndarray

    def declaration(self) -> str:
        """For a header."""
        return f"extern const {self.kind} {self.name}[{self.values.size}];\n"

    def definition(self) -> Iterator[str]:
        """The array as C, piece by piece: its text is four times as long as its bytes, or more."""
        element = ELEMENTS[self.kind]
        step = element.in_a_line * _LINES_A_PIECE
        yield f"TT_ALIGNED const {self.kind} {self.name}[{self.values.size}] = {{\n    "
        form = _form(element, step)
        for start in range(0, self.values.size, step):
            piece = self.values[start : start + step]
            if start:
                yield _BREAK
            yield (form if piece.size == step else _form(element, piece.size)) % _numbers(piece)
        yield "};\n\n"


def _form(element: _Element, count: int) -> str:
    """The format of that many elements, in lines."""
    lines, rest = divmod(count, element.in_a_line)
    line = ", ".join([element.text] * element.in_a_line)
    return _BREAK.join([line] * lines + ([", ".join([element.text] * rest)] if rest else []))


def _numbers(values: np.ndarray) -> tuple[Any, ...]:
    return tuple(itertools.chain.from_iterable(values.tolist()) if values.dtype.names else values.tolist())


def float_array(name: str, array: np.ndarray) -> ConstantArray:
    """An array of floats, flat."""
    return ConstantArray("float", name, np.asarray(array, ELEMENTS["float"].dtype).ravel())


def int8_arrays(rows_name: str, channels_name: str, codes: Int8Layer) -> list[ConstantArray]:
    """The rows of a layer and its ``tt_int8_channel_t``."""
    channels = np.empty(len(codes.rows), ELEMENTS["tt_int8_channel_t"].dtype)
    columns = (codes.weight_scales, codes.bias_scales, codes.multipliers, codes.shifts)
    for name, column in zip(channels.dtype.names, columns, strict=True):
        channels[name] = column
    return [
        ConstantArray("int8_t", rows_name, codes.rows.ravel()),
        ConstantArray("tt_int8_channel_t", channels_name, channels),
    ]
