# SPDX-License-Identifier: Apache-2.0
"""What each strategy would like to train, most wanted first; ``select`` fits the wish into the budgets.

=================  =====================================================================================================
name               layers, and the channels within them
=================  =====================================================================================================
tinytrain          by P / (W / max W * M / max M), the score of TinyTrain; channels by Fisher potential
fisher             by P alone
fisher_memory      by P / (W / max W)
fisher_compute     by P / (M / max M)
magnitude          as ``fisher``, with the L2 norm of a base row in place of the Fisher potential of its channel
random             layers and channels in an order drawn from the seed
full               every channel of every candidate, or an error
last_layer         every channel of the last candidate, or an error
bias_only          biases alone (as TinyTL), of every candidate that has one, from the last layer back
sparse_update      one fixed plan for a network (as MCUNetV3), see ``_sparse_update``
none               no plan
=================  =====================================================================================================

P is the sum of a layer's potentials, W its parameters, M its forward multiply-accumulates. Potentials, scores and their
quotients are float32 and sums go by rising channel, so that ``tt_select_channels`` of the device runtime computes the
same; ties go to the lower position.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, SavedTensor

SHARE_UNIT = 256
_SPARSE_SHARE = SHARE_UNIT // 4


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
    """Steps, most wanted first, over a table of costs (that of the task, or that of ``combine``).

    ``whole``: all of it or nothing; otherwise what fits.
    """

    table: CostTable
    steps: tuple[Step, ...]
    whole: bool = False


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


def _scored(potentials_of: Callable[[Task], list[np.ndarray]], **objectives: bool) -> Callable[[Task], Wish]:
    def strategy(task: Task) -> Wish:
        potentials = potentials_of(task)
        score = scores(task.table, potentials, **objectives)
        return _wish(task, sorted(range(len(score)), key=lambda i: -score[i]), potentials)

    return strategy


def _wish(task: Task, order: Sequence[int], potentials: Sequence[np.ndarray]) -> Wish:
    candidates = task.table.candidates
    steps = (Step(i, task.target(candidates[i]), candidates[i].channels, potentials[i]) for i in order)
    return Wish(task.table, tuple(steps))


def _random(task: Task) -> Wish:
    # The one generator whose numbers Python promises to keep.
    generator = random.Random(task.seed)
    keys = [generator.random() for _ in task.table.candidates]
    potentials = [np.array([generator.random() for _ in range(c.channels)], np.float32) for c in task.table.candidates]
    return _wish(task, sorted(range(len(keys)), key=keys.__getitem__), potentials)


def _full(task: Task) -> Wish:
    return _everything(task, range(len(task.table.candidates)))


def _last_layer(task: Task) -> Wish:
    return _everything(task, [len(task.table.candidates) - 1])


def _everything(task: Task, order: Sequence[int]) -> Wish:
    return Wish(task.table, tuple(_all_channels(task.table, i) for i in order), whole=True)


def _all_channels(table: CostTable, index: int) -> Step:
    channels = table.candidates[index].channels
    return Step(index, channels, channels, np.zeros(channels, np.float32))


def _bias_only(task: Task) -> Wish:
    table = task.with_biases("bias_only")
    n = len(task.table.candidates)
    steps = tuple(_all_channels(table, i) for i in reversed(range(n, 2 * n)) if table.candidates[i].row_parameters)
    if not steps:
        raise InputError("strategy 'bias_only': expected a candidate with a bias, received none")
    return Wish(table, steps)


def _sparse_update(task: Task) -> Wish:
    """Of the last half of the candidates: a quarter of the channels of each expansion, and the biases of the others.

    An expansion is the layer that widens an inverted bottleneck: it has more channels than the candidate before it, the
    next one (depthwise) has as many, and the one after that fewer. Where there is none, a quarter of every layer is
    trained. Channels go by the L2 norm of their base rows where rows are given, else by position. The plan is the same
    for every task; under a budget it is cut short from its far end, the last layer being taken first.
    """
    table = task.with_biases("sparse_update")
    candidates = task.table.candidates
    n = len(candidates)
    potentials = task.norms() if task.rows is not None else [np.zeros(c.channels, np.float32) for c in candidates]
    half = range(n // 2, n)
    widths = [0, *(c.channels for c in candidates)]
    expansions = {i for i in half[:-2] if widths[i] < widths[i + 1] == widths[i + 2] > widths[i + 3]}
    steps = []
    for i in reversed(half):
        quarter = share_of(candidates[i].channels, _SPARSE_SHARE)
        if i in expansions or not expansions:
            steps.append(Step(i, quarter, quarter, potentials[i]))
        elif table.candidates[n + i].row_parameters:
            steps.append(_all_channels(table, n + i))
    return Wish(table, tuple(steps))


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


STRATEGIES: dict[str, Callable[[Task], Wish | None]] = {
    "tinytrain": _scored(Task.potentials),
    "fisher": _scored(Task.potentials, by_memory=False, by_compute=False),
    "fisher_memory": _scored(Task.potentials, by_compute=False),
    "fisher_compute": _scored(Task.potentials, by_memory=False),
    "magnitude": _scored(Task.norms, by_memory=False, by_compute=False),
    "random": _random,
    "full": _full,
    "last_layer": _last_layer,
    "bias_only": _bias_only,
    "sparse_update": _sparse_update,
    "none": lambda _task: None,
}
