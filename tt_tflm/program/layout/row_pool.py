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
            (its moments, ``gradient``) or ``prototypes``; with a plan chosen on the board ``potentials``, ``slots``,
            ``channels`` and ``rows``; last ``tables``, whose size goes by that of a pointer: here by four bytes.
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

    @property
    def regions_bytes(self) -> int:
        """Bytes before the tables."""
        return self.offset("tables", 0)

    def offset(self, kind: str, index: int) -> int:
        """Byte offset of a region."""
        return next(r.offset for r in self.regions if (r.kind, r.index) == (kind, index))


def lay_out(
    rows: Mapping[int, tuple[str, int]],
    state: Sequence[str],
    classes: int,
    embedding_elements: int | None,
    shadows: Mapping[int, tuple[str, int]] | None = None,
    tables: int = 0,
) -> RowPool:
    """The row pool of a plan.

    Args:
        rows: trained layers: number -> (name, floats of its trained rows).
        state: what the optimiser keeps beside the rows of every layer.
        classes: number of prototypes.
        embedding_elements: floats of a prototype; None without prototypes.
        shadows: trained layers of an int8 build: number -> (name, bytes of their int8 rows).
        tables: bytes of the session's tables.
    """
    wanted = [
        (kind, i, f"{name} {kind}", 4 * floats) for kind in ("pool", *state) for i, (name, floats) in rows.items()
    ]
    wanted += [("shadow", i, f"{name} shadow", size) for i, (name, size) in (shadows or {}).items()]
    return _placed(wanted + _prototypes(classes, embedding_elements), tables)


def lay_out_dynamic(
    channels: Sequence[int], rows_bytes: int, classes: int, embedding_elements: int | None, tables: int = 0
) -> RowPool:
    """The row pool of a build that chooses on the board.

    Args:
        channels: output channels of every candidate.
        rows_bytes: room for trained rows, gradients and moments of any plan.
        classes: number of prototypes.
        embedding_elements: floats of a prototype; None without prototypes.
        tables: bytes of the session's tables.
    """
    total = sum(channels)
    wanted = [
        ("potentials", 0, "Fisher potentials", 4 * total),
        ("slots", 0, "row of every channel", 2 * total),
        ("channels", 0, "chosen channels", 2 * total),
        *_prototypes(classes, embedding_elements),
        ("rows", 0, "trained rows and their state", rows_bytes),
    ]
    return _placed(wanted, tables)


def lay_out_lists(channels: Sequence[int], tables: int = 0) -> RowPool:
    """What a build for TFLM keeps beside its models: lists of channels, where the plan is not fixed, and the tables.

    Args:
        channels: output channels of every candidate; empty where the plan is fixed.
        tables: bytes of the session's tables.
    """
    total = sum(channels)
    wanted = [("potentials", 0, "Fisher potentials", 4 * total), ("channels", 0, "chosen channels", 2 * total)]
    return _placed(wanted if channels else [], tables)


def _prototypes(classes: int, embedding_elements: int | None) -> list[tuple[str, int, str, int]]:
    if embedding_elements is None:
        return []
    return [
        ("prototypes", 0, "prototype sums", 4 * classes * embedding_elements),
        ("prototypes", 1, "prototype counts", 4 * classes),
    ]


def _placed(wanted: Sequence[tuple[str, int, str, int]], tables: int) -> RowPool:
    regions, offset = [], 0
    for kind, index, name, size in (*wanted, ("tables", 0, "tables of the session", tables)):
        regions.append(Region(kind, index, name, offset, size))
        offset = _aligned(offset + size)
    return RowPool(tuple(regions))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
