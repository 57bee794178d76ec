# SPDX-License-Identifier: Apache-2.0
"""What each strategy would like to train, most wanted first; ``select`` fits the wish into the budgets.

A strategy is a function from a ``Task`` to a ``Wish``, registered by ``strategy``, here or in a module of anyone's::

    from tt_tflm.plan.strategies import strategy
    from tt_tflm.plan.wish import Task, Wish, in_order

    @strategy("widest", "every layer, the one with the most channels first", fisher=True)
    def widest(task: Task) -> Wish:
        order = sorted(range(len(task.table.candidates)), key=lambda i: -task.table.candidates[i].channels)
        return in_order(task, order, task.potentials())

The command line, planning and evaluation take their lists from the registry. A module of an installed package is
imported by itself if the entry point group ``tt_tflm.strategies`` names it.

P is the sum of a layer's potentials, W its parameters, M its forward multiply-accumulates. Potentials, scores and their
quotients are float32 and sums go by rising channel, so that ``tt_select_channels`` of the device runtime computes the
same; ties go to the lower position.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.extensions.registry import Registry
from tt_tflm.plan.wish import SHARE_UNIT, Step, Task, Wish, all_channels, by_score, every_channel, in_order, share_of

_SPARSE_SHARE = SHARE_UNIT // 4
ON_BOARD = "tinytrain"
"""The strategy that boards select by, and the default of whatever plans."""
NONE = "none"
"""The strategy that trains nothing: predictions by prototypes alone."""

_Function = TypeVar("_Function", bound=Callable[[Task], Wish | None])


@dataclass(frozen=True)
class Strategy:
    """A way to choose what is trained. Calling it gives the wish; None where nothing is to be trained.

    Attributes:
        name: as options and plans show it.
        summary: one line: which layers, and which channels within them.
        wish: made from a task.
        fisher: whether it looks at Fisher potentials, which cost a pass over the support samples.
        biases: whether it trains biases alone of some layers, so that it needs ``Task.bias_table``.
        per_task: whether the plan depends on the task; otherwise one plan serves all, in a static build of its own.
        whole: whether its wish is all or nothing, where otherwise what fits the budgets is trained; comparisons give it
            none.
        learning_rate: of Adam, where evaluation is told no other.

    Raises:
        InputError: the properties do not go together.
    """

    name: str
    summary: str
    wish: Callable[[Task], Wish | None]
    fisher: bool = False
    biases: bool = False
    per_task: bool = True
    whole: bool = False
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.biases and self.per_task:
            raise InputError(
                f"strategy '{self.name}': expected per_task=False with biases=True, since a board that is told a plan "
                "for each task trains the biases and weights of a row together, received per_task=True"
            )
        if self.fisher and not self.per_task:
            raise InputError(
                f"strategy '{self.name}': expected per_task=True with fisher=True, since potentials are a task's own, "
                "received per_task=False"
            )
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < math.inf:
            raise InputError(
                f"strategy '{self.name}': expected a finite learning_rate of at least 0, received {rate!r}"
            )

    def __call__(self, task: Task) -> Wish | None:
        """What it would like to train."""
        return self.wish(task)


STRATEGIES: Registry[Strategy] = Registry("a strategy", "tt_tflm.strategies")


def strategy(name: str, summary: str, **properties: Any) -> Callable[[_Function], _Function]:
    """Registers a function from a ``Task`` to a ``Wish``, or to None.

    Args:
        name, summary, properties: see ``Strategy``.

    Raises:
        InputError: the name is taken or malformed, or the properties do not go together.
    """

    def register(function: _Function) -> _Function:
        STRATEGIES.add(name, Strategy(name, summary, function, **properties))
        return function

    return register


def training_names() -> tuple[str, ...]:
    """Names of the strategies that train something."""
    return tuple(name for name in STRATEGIES if name != NONE)


@strategy(ON_BOARD, "by P / (W / max W * M / max M), the score of TinyTrain; channels by Fisher potential", fisher=True)
def _tinytrain(task: Task) -> Wish:
    return by_score(task, task.potentials())


@strategy("fisher", "by P alone", fisher=True)
def _fisher(task: Task) -> Wish:
    return by_score(task, task.potentials(), by_memory=False, by_compute=False)


@strategy("fisher_memory", "by P / (W / max W)", fisher=True)
def _fisher_memory(task: Task) -> Wish:
    return by_score(task, task.potentials(), by_compute=False)


@strategy("fisher_compute", "by P / (M / max M)", fisher=True)
def _fisher_compute(task: Task) -> Wish:
    return by_score(task, task.potentials(), by_memory=False)


@strategy("magnitude", "as fisher, with the L2 norm of a base row in place of the Fisher potential of its channel")
def _magnitude(task: Task) -> Wish:
    return by_score(task, task.norms(), by_memory=False, by_compute=False)


@strategy("random", "layers and channels in an order drawn from the seed")
def _random(task: Task) -> Wish:
    # The one generator whose numbers Python promises to keep.
    generator = random.Random(task.seed)
    keys = [generator.random() for _ in task.table.candidates]
    potentials = [np.array([generator.random() for _ in range(c.channels)], np.float32) for c in task.table.candidates]
    return in_order(task, sorted(range(len(keys)), key=keys.__getitem__), potentials)


@strategy("full", "every channel of every candidate, or an error", per_task=False, whole=True, learning_rate=1e-4)
def _full(task: Task) -> Wish:
    return every_channel(task, range(len(task.table.candidates)))


@strategy(
    "last_layer", "every channel of the last candidate, or an error", per_task=False, whole=True, learning_rate=1e-3
)
def _last_layer(task: Task) -> Wish:
    return every_channel(task, [len(task.table.candidates) - 1])


@strategy(
    "bias_only",
    "biases alone (as TinyTL), of every candidate that has one, from the last layer back",
    biases=True,
    per_task=False,
)
def _bias_only(task: Task) -> Wish:
    table = task.with_biases("bias_only")
    n = len(task.table.candidates)
    steps = tuple(all_channels(table, i) for i in reversed(range(n, 2 * n)) if table.candidates[i].row_parameters)
    if not steps:
        raise InputError("strategy 'bias_only': expected a candidate with a bias, received none")
    return Wish(table, steps)


@strategy(
    "sparse_update",
    "one fixed plan for a network (as MCUNetV3): some channels of expansions, the biases of the other late layers",
    biases=True,
    per_task=False,
)
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
            steps.append(all_channels(table, n + i))
    return Wish(table, tuple(steps))


@strategy(NONE, "no plan", per_task=False, learning_rate=0.0)
def _none(_task: Task) -> None:
    return None
