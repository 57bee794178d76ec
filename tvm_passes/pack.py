# SPDX-License-Identifier: Apache-2.0
"""Pack buffers with known lifetimes into one arena: first fit over several orders, the best kept."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from .liveness import Buffer, lower_bound

_SHUFFLES = 200


def pack(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """Offsets of the buffers by name, and the size of the arena in bytes. Deterministic.

    Buffers that are alive at the same step do not overlap. Large first is nearly always right; where it misses the
    lower bound, other orders and seeded perturbations of the best one are tried.
    """
    bound = lower_bound(list(buffers))
    orders = (
        sorted(buffers, key=lambda b: (-b.size, b.first)),
        sorted(buffers, key=lambda b: (-b.size * (b.last - b.first + 1), b.first)),
        sorted(buffers, key=lambda b: (b.first, -b.size)),
        sorted(buffers, key=lambda b: (-(b.last - b.first), -b.size)),
    )
    best_order, (offsets, size) = min(((o, _first_fit(o)) for o in orders), key=lambda found: found[1][1])
    generator = random.Random(0)
    for _ in range(_SHUFFLES):
        if size <= bound:
            break
        order = list(best_order)
        i, j = generator.randrange(len(order)), generator.randrange(len(order))
        order.insert(j, order.pop(i))
        found, needed = _first_fit(order)
        if needed <= size:
            best_order, offsets, size = order, found, needed
    return offsets, size


def _first_fit(order: Iterable[Buffer]) -> tuple[dict[str, int], int]:
    placed: list[tuple[int, Buffer]] = []
    size = 0
    for buffer in order:
        offset = 0
        for start, other in placed:
            if buffer.overlaps(other):
                if offset + buffer.size <= start:
                    break
                offset = max(offset, start + other.size)
        placed.append((offset, buffer))
        placed.sort(key=lambda entry: entry[0])
        size = max(size, offset + buffer.size)
    return {buffer.name: offset for offset, buffer in placed}, size
