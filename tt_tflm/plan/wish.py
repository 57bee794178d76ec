# SPDX-License-Identifier: Apache-2.0
"""What a strategy may look at, what it answers, and the arithmetic that strategies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, SavedTensor

SHARE_UNIT = 256


@dataclass(frozen=True)
class Step:
    """A candidate of the wish's table: channels taken at first, channels it may grow to where the budgets leave room,
    and its potentials, float32 (channels,): the largest are taken."""

    candidate: int
    first: int
    most: int
    potentials: np.ndarray


@dataclass(frozen=True)
class Wish:
    """Steps, most wanted first, over a table of costs (that of the task, or that of ``combine``)."""

    table: CostTable
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Task:
    """What a strategy may look at. Arguments are those of ``select``; each is checked when it is first needed."""

    table: CostTable
    fisher: Mapping[str, Any] | None
    rows: Mapping[str, Any] | None
    bias_table: CostTable | None
    share_256: int
    seed: int

    def potentials(self) -> list[np.ndarray]:
        """Fisher potentials of the candidates, float32 (channels,) each.

        Raises:
            InputError: a layer is missing or unknown, or an array has another shape or a number that is NaN, infinite
                or negative.
        """
        what = "Fisher potentials"
        arrays = _arrays(what, self.fisher, self.table)
        unknown = set(self.fisher or ()) - {c.layer for c in self.table.candidates}
        if unknown:
            raise InputError(f"expected Fisher potentials of layers of the cost table, received '{min(unknown)}'")
        for candidate, array in zip(self.table.candidates, arrays, strict=True):
            if array.shape != (candidate.channels,):
                raise InputError(
                    f"layer '{candidate.layer}': expected {what} ({candidate.channels},), received {array.shape}"
                )
            if (array < 0).any():
                raise InputError(f"layer '{candidate.layer}': expected {what} of at least 0, received {array.min()}")
        return arrays

    def norms(self) -> list[np.ndarray]:
        """L2 norms of the base rows of the candidates, float32 (channels,) each.

        Raises:
            InputError: a layer is missing, or an array is not finite or not of the shape (channels, stride).
        """
        what = "base rows"
        arrays = _arrays(what, self.rows, self.table)
        for candidate, array in zip(self.table.candidates, arrays, strict=True):
            if array.ndim != 2 or len(array) != candidate.channels:
                raise InputError(
                    f"layer '{candidate.layer}': expected {what} ({candidate.channels}, stride), received {array.shape}"
                )
        return [np.linalg.norm(array.astype(np.float64), axis=1).astype(np.float32) for array in arrays]

    def target(self, candidate: Candidate) -> int:
        """Channels taken at first: the share of all, at least one."""
        return share_of(candidate.channels, self.share_256)

    def with_biases(self, strategy: str) -> CostTable:
        """The table of ``combine``.

        Raises:
            InputError: there is no bias table, or it belongs to another table.
        """
        if self.bias_table is None:
            raise InputError(f"strategy '{strategy}': expected bias_table, the cost of biases alone, received none")
        return combine(self.table, self.bias_table)


def share_of(channels: int, share_256: int) -> int:
    """That many 256ths of the channels, rounded down, at least one."""
    return max(1, channels * share_256 // SHARE_UNIT)


def combine(table: CostTable, bias_table: CostTable) -> CostTable:
    """One table for plans that train some layers whole and of others the biases alone.

    Args:
        table: n candidates.
        bias_table: the same candidates, tensors and computations in the same order, with the costs and guards of
            training the biases alone (a guard of 0: never needed; ``row_parameters`` of 0: the layer has no bias).

    Returns:
        2n candidates: those of ``table``, then those of ``bias_table``.

    Raises:
        InputError: the tables are not of the same network.
    """
    if _shape_of(table) != _shape_of(bias_table):
        raise InputError("expected a bias_table of the same layers, tensors and computations, received another")
    n = len(table.candidates)
    return CostTable(
        table.candidates + bias_table.candidates,
        tuple(
            SavedTensor(a.full_bytes, a.full_guard | b.full_guard << n, a.mask_bytes, a.mask_guard | b.mask_guard << n)
            for a, b in zip(table.tensors, bias_table.tensors, strict=True)
        ),
        tuple(
            MacItem(a.macs, a.guard | b.guard << n) for a, b in zip(table.mac_items, bias_table.mac_items, strict=True)
        ),
        table.fixed_ram_bytes,
        table.backward_macs_full,
    )


def scores(
    table: CostTable, potentials: Sequence[np.ndarray], *, by_memory: bool = True, by_compute: bool = True
) -> list[np.float32]:
    """Score of every candidate: P, over W / max W, over M / max M, all in float32."""
    largest_w = np.float32(max(c.parameters for c in table.candidates))
    largest_m = np.float32(max(c.forward_macs for c in table.candidates))
    result = []
    # A sum of huge potentials may become infinity: it is larger than the others all the same.
    with np.errstate(over="ignore"):
        for candidate, potential in zip(table.candidates, potentials, strict=True):
            p = np.add.accumulate(potential, dtype=np.float32)[-1]
            w = np.float32(candidate.parameters) / largest_w if by_memory else np.float32(1)
            m = np.float32(candidate.forward_macs) / largest_m if by_compute else np.float32(1)
            result.append(p / (w * m))
    return result


def by_score(task: Task, potentials: Sequence[np.ndarray], **objectives: bool) -> Wish:
    """Layers by falling score, channels by falling potential; arguments as for ``scores``."""
    score = scores(task.table, potentials, **objectives)
    return in_order(task, sorted(range(len(score)), key=lambda i: -score[i]), potentials)


def in_order(task: Task, order: Sequence[int], potentials: Sequence[np.ndarray]) -> Wish:
    """Candidates in that order, channels by falling potential, each layer as far as the budgets go."""
    candidates = task.table.candidates
    steps = (Step(i, task.target(candidates[i]), candidates[i].channels, potentials[i]) for i in order)
    return Wish(task.table, tuple(steps))


def every_channel(task: Task, order: Sequence[int]) -> Wish:
    """Candidates in that order, all of their channels."""
    return Wish(task.table, tuple(all_channels(task.table, i) for i in order))


def all_channels(table: CostTable, index: int) -> Step:
    """Every channel of a candidate of the table; the first ones where the budgets do not hold them all."""
    channels = table.candidates[index].channels
    return Step(index, channels, channels, np.zeros(channels, np.float32))


def _arrays(what: str, given: Mapping[str, Any] | None, table: CostTable) -> list[np.ndarray]:
    if not isinstance(given, Mapping):
        raise InputError(f"expected {what} as a mapping of layer names to arrays, received {type(given).__name__}")
    arrays = []
    for candidate in table.candidates:
        if candidate.layer not in given:
            raise InputError(f"layer '{candidate.layer}': expected {what}, received none")
        array = _array(what, candidate.layer, given[candidate.layer])
        if array.dtype.kind not in "fiu":
            raise InputError(f"layer '{candidate.layer}': expected {what} of real numbers, received {array.dtype}")
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"layer '{candidate.layer}': expected finite {what}, received NaN or infinity")
        arrays.append(array)
    return arrays


def _array(what: str, layer: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise InputError(f"layer '{layer}': expected {what} as an array, received {type(value).__name__}") from None


def _shape_of(table: CostTable) -> tuple[Any, ...]:
    return (
        [(c.layer, c.channels) for c in table.candidates],
        [(t.full_bytes, t.mask_bytes) for t in table.tensors],
        [item.macs for item in table.mac_items],
    )
