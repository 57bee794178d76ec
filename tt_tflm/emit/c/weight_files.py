# SPDX-License-Identifier: Apache-2.0
"""The files that hold a build's weights: C as text, or one binary file and an assembler source that includes it.

Text is what every compiler takes, at four times the size of the weights and minutes of compilation for large models.
The binary file holds the arrays one after the other, little-endian, each at a multiple of 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tt_tflm.emit.c.constant_arrays import ELEMENTS, ConstantArray
from tt_tflm.emit.text import LICENCE, environment

WEIGHT_FORMS = ("auto", "c", "binary")
"""``auto`` is C up to `TEXT_BYTES`, binary above."""

TEXT_BYTES = 4 * 2**20
"""The most weights that are written as C unless asked for: 16 MB of text, which a compiler reads in seconds."""

_ALIGNMENT = 16


def weight_source(symbol: str) -> str:
    """Path of the weights as C below the build folder."""
    return f"src/{symbol}_weights.c"


def weight_assembly(symbol: str) -> str:
    """Path of the assembler source below the build folder."""
    return f"src/{symbol}_weights.S"


def weight_binary(symbol: str) -> str:
    """Path of what that includes."""
    return f"src/{symbol}_weights.bin"


class _Placed(NamedTuple):
    """An array in the binary file."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Weights:
    """The weights of a build.

    Args:
        symbol: the build's name in C.
        arrays: in the order in which they are declared.
    """

    symbol: str
    arrays: tuple[ConstantArray, ...]

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        return sum(array.values.nbytes for array in self.arrays)

    def form(self, asked: str) -> str:
        """``c`` or ``binary``, for one of `WEIGHT_FORMS`."""
        return asked if asked != "auto" else "c" if self.nbytes <= TEXT_BYTES else "binary"

    def declarations(self) -> str:
        """For the header."""
        return "".join(array.declaration() for array in self.arrays)

    def source(self) -> Iterator[str]:
        """The text of the C source, piece by piece."""
        yield f'{LICENCE}#include "{self.symbol}_weights.h"\n\n'
        for array in self.arrays:
            yield from array.definition()

    def assembly(self) -> str:
        """The text of the assembler source."""
        binary = weight_binary(self.symbol).rpartition("/")[2]
        return environment().get_template("weights.S.j2").render(binary=binary, arrays=self._placed())

    def content(self) -> Iterator[memoryview | bytes]:
        """The binary file, piece by piece."""
        end = 0
        for array, place in zip(self.arrays, self._placed(), strict=True):
            yield bytes(place.offset - end)
            yield np.ascontiguousarray(array.values).view(np.uint8).data
            end = place.offset + place.bytes

    def table(self) -> list[dict[str, Any]]:
        """What is needed beside the binary file to have the arrays back: C type, name and number of elements of
        each."""
        return [{"kind": a.kind, "name": a.name, "elements": int(a.values.size)} for a in self.arrays]

    def _placed(self) -> list[_Placed]:
        return _places([(array.name, array.values.nbytes) for array in self.arrays])


def content_bytes(table: Sequence[Mapping[str, Any]]) -> int:
    """Size of the binary file of `Weights.table`."""
    placed = _places_of(table)
    return placed[-1].offset + placed[-1].bytes if placed else 0


def read_weights(symbol: str, table: Sequence[Mapping[str, Any]], content: bytes) -> Weights:
    """The weights of a build back.

    Args:
        symbol: of the build.
        table: of `Weights.table`.
        content: of the binary file, `content_bytes` long; kept.
    """
    arrays = [
        ConstantArray(
            entry["kind"],
            place.name,
            np.frombuffer(content, ELEMENTS[entry["kind"]].dtype, entry["elements"], place.offset),
        )
        for entry, place in zip(table, _places_of(table), strict=True)
    ]
    return Weights(symbol, tuple(arrays))


def _places_of(table: Sequence[Mapping[str, Any]]) -> list[_Placed]:
    return _places([(e["name"], e["elements"] * ELEMENTS[e["kind"]].dtype.itemsize) for e in table])


def _places(sizes: Sequence[tuple[str, int]]) -> list[_Placed]:
    placed, end = [], 0
    for name, size in sizes:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        placed.append(_Placed(name, start, size))
        end = start + size
    return placed
