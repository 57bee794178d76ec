# SPDX-License-Identifier: Apache-2.0
"""Pack buffers with known lifetimes into one arena: first fit over several orders, the best kept."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from .liveness import Buffer, lower_bound

_SHUFFLES = 200
_MOST_PLACED = 200_000  # buffers, in all orders together


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
    for _ in range(min(_SHUFFLES, max(1, _MOST_PLACED // max(1, len(buffers))))):
        if size <= bound:
            break
        order = list(best_order)
        i, j = generator.randrange(len(order)), generator.randrange(len(order))
        order.insert(j, order.pop(i))
        found, needed = _first_fit(order)
        if needed <= size:
            best_order, offsets, size = order, found, needed
    return offsets, size


def _first_fit(order: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    # Sorted by offset, as far as they are placed: a row each of offset, end, and the first and last step alive.
    placed = np.empty((4, len(order)), np.int64)
    offsets: dict[str, int] = {}
    size = 0
    for count, buffer in enumerate(order):
        there = placed[:, :count]
        alive = (there[2] <= buffer.last) & (there[3] >= buffer.first)
        offset = 0
        for start, end in there[:2, alive].T.tolist():
            if offset + buffer.size <= start:
                break
            offset = max(offset, end)
        at = int(np.searchsorted(there[0], offset, "right"))
        placed[:, at + 1 : count + 1] = there[:, at:].copy()
        placed[:, at] = offset, offset + buffer.size, buffer.first, buffer.last
        offsets[buffer.name] = offset
        size = max(size, offset + buffer.size)
    return offsets, size
