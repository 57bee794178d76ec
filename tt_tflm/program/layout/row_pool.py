# SPDX-License-Identifier: Apache-2.0
"""Layout of the row pool: what persists between calls of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 16


@dataclass(frozen=True)
class Region:
    """A run of bytes of the row pool.

    Args:
        kind: ``pool`` (trained rows), ``shadow`` (the same as int8, in an int8 build), an optimiser state
            (``velocity``, ``first_moment``, ``second_moment``, ``gradient``) or ``prototypes``; with a plan chosen on
            the board ``potentials``, ``slots``, ``channels`` and ``rows``.
        index: the layer's number; for prototypes 0 for the sums and 1 for the counts; else 0.
        name: for people.
        offset: bytes from the start of the row pool, a multiple of 16.
        bytes: without the padding after it.
    """

    kind: str
    index: int
    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class RowPool:
    """All regions, in order."""

    regions: tuple[Region, ...]

    @property
    def bytes(self) -> int:
        """Size of the row pool."""
        return max((_aligned(r.offset + r.bytes) for r in self.regions), default=0)

    def offset(self, kind: str, index: int) -> int:
        """Byte offset of a region."""
        return next(r.offset for r in self.regions if (r.kind, r.index) == (kind, index))


def lay_out(
    rows: Mapping[int, tuple[str, int]],
    state: Sequence[str],
    classes: int,
    embedding_elements: int | None,
    shadows: Mapping[int, tuple[str, int]] | None = None,
) -> RowPool:
    """The row pool of a plan.

    Args:
        rows: trained layers: number -> (name, floats of its trained rows).
        state: what the optimiser keeps beside the rows of every layer.
        classes: number of prototypes.
        embedding_elements: floats of a prototype; None without prototypes.
        shadows: trained layers of an int8 build: number -> (name, bytes of their int8 rows).
    """
    wanted = [
        (kind, i, f"{name} {kind}", 4 * floats) for kind in ("pool", *state) for i, (name, floats) in rows.items()
    ]
    wanted += [("shadow", i, f"{name} shadow", size) for i, (name, size) in (shadows or {}).items()]
    return _placed(wanted + _prototypes(classes, embedding_elements))


def lay_out_dynamic(channels: Sequence[int], rows_bytes: int, classes: int, embedding_elements: int | None) -> RowPool:
    """The row pool of a build that chooses on the board.

    Args:
        channels: output channels of every candidate.
        rows_bytes: room for trained rows, gradients and moments of any plan.
        classes: number of prototypes.
        embedding_elements: floats of a prototype; None without prototypes.
    """
    total = sum(channels)
    wanted = [
        ("potentials", 0, "Fisher potentials", 4 * total),
        ("slots", 0, "row of every channel", 2 * total),
        ("channels", 0, "chosen channels", 2 * total),
        *_prototypes(classes, embedding_elements),
        ("rows", 0, "trained rows and their state", rows_bytes),
    ]
    return _placed(wanted)


def lay_out_lists(channels: Sequence[int]) -> RowPool:
    """What a build for TFLM keeps beside its models: nothing but lists of channels, and nothing at all where the plan
    is fixed, but for the bytes that an array has to have.

    Args:
        channels: output channels of every candidate; empty where the plan is fixed.
    """
    total = sum(channels)
    wanted = [("potentials", 0, "Fisher potentials", 4 * total), ("channels", 0, "chosen channels", 2 * total)]
    return _placed(wanted if channels else [("unused", 0, "unused", ALIGNMENT)])


def _prototypes(classes: int, embedding_elements: int | None) -> list[tuple[str, int, str, int]]:
    if embedding_elements is None:
        return []
    return [
        ("prototypes", 0, "prototype sums", 4 * classes * embedding_elements),
        ("prototypes", 1, "prototype counts", 4 * classes),
    ]


def _placed(wanted: Sequence[tuple[str, int, str, int]]) -> RowPool:
    regions, offset = [], 0
    for kind, index, name, size in wanted:
        regions.append(Region(kind, index, name, offset, size))
        offset = _aligned(offset + size)
    return RowPool(tuple(regions))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
