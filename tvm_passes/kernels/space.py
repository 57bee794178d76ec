# SPDX-License-Identifier: Apache-2.0
"""Geometry of an n-dimensional loop nest whose operands are read and written through strides: what ``Window`` is for
convolutions, for broadcasting, moves, reductions and products of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

_BETWEEN_OPERANDS = "|"


@dataclass(frozen=True)
class Place:
    """Where an operand lies: its element at an index is ``offset`` + the sum of index times stride. A stride of 0 is an
    axis that it does not have: an input is broadcast along it, an output reduced."""

    strides: tuple[int, ...]
    offset: int = 0

    def permuted(self, axes: Sequence[int]) -> Place:
        """The same with its axes in that order."""
        return Place(tuple(self.strides[axis] for axis in axes), self.offset)


@dataclass(frozen=True)
class Space:
    """The extents of the axes, and the place of every parameter of a kernel, in the order of its parameters."""

    shape: tuple[int, ...]
    places: tuple[Place, ...]

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Space:
        """The space that a kernel's attributes describe."""
        strides = attrs["strides"].split(_BETWEEN_OPERANDS)
        offsets = _numbers(attrs["offsets"])
        places = tuple(Place(_numbers(s), offset) for s, offset in zip(strides, offsets, strict=True))
        return cls(_numbers(attrs["shape"]), places)

    def attrs(self) -> dict[str, str]:
        """As attributes of a kernel, axes that lie one behind the other for every operand made one."""
        space = self.collapsed()
        return {
            "shape": _text(space.shape),
            "strides": _BETWEEN_OPERANDS.join(_text(place.strides) for place in space.places),
            "offsets": _text([place.offset for place in space.places]),
        }

    @staticmethod
    def described_by(attrs: Mapping[str, Any]) -> bool:
        """Whether a kernel's attributes describe a space."""
        return "strides" in attrs

    @property
    def points(self) -> int:
        """Iterations of the loop nest."""
        return prod(self.shape)

    def collapsed(self) -> Space:
        """The same loop nest with as few axes as possible."""
        shape: list[int] = []
        strides: list[list[int]] = [[] for _ in self.places]
        for axis, extent in enumerate(self.shape):
            if extent == 1:
                continue
            here = [place.strides[axis] for place in self.places]
            if shape and all(s[-1] == step * extent for s, step in zip(strides, here, strict=True)):
                shape[-1] *= extent
                for s, step in zip(strides, here, strict=True):
                    s[-1] = step
            else:
                shape.append(extent)
                for s, step in zip(strides, here, strict=True):
                    s.append(step)
        places = tuple(Place(tuple(s), place.offset) for s, place in zip(strides, self.places, strict=True))
        return Space(tuple(shape), places)


def row_major(shape: Sequence[int]) -> Place:
    """A whole tensor of that shape."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return Place(tuple(reversed(strides)))


def broadcast(shape: Sequence[int], to: Sequence[int]) -> Place:
    """A tensor of ``shape`` over the axes of ``to``, as NumPy broadcasts it."""
    missing = len(to) - len(shape)
    own = row_major(shape).strides
    strides = (0 if extent == 1 else step for extent, step in zip(shape, own, strict=True))
    return Place((0,) * missing + tuple(strides))


def is_injective(shape: Sequence[int], place: Place) -> bool:
    """Whether no two indices are the same element. (Never said of places where it is not so; of interleaved ones that
    are injective it may be left unsaid.)"""
    reach = 0
    for step, extent in sorted((abs(s), n) for s, n in zip(place.strides, shape, strict=True) if n > 1):
        if step <= reach:
            return False
        reach += step * (extent - 1)
    return True


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in str(text).split())


def _text(numbers: Sequence[int]) -> str:
    return " ".join(str(number) for number in numbers)
