# SPDX-License-Identifier: Apache-2.0
"""Selection: the layers and channels that a strategy wants most, as far as the budgets go.

Exact in integers and float32, so that ``tt_select_channels`` of the device runtime chooses the same to the channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget, ResolvedBudget
from tt_tflm.plan.cost_table import CostTable, PlanCost
from tt_tflm.plan.strategies import ON_BOARD, STRATEGIES
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.plan.wish import SHARE_UNIT, Step, Task, Wish, combine

_LIMITS = {"training_memory_bytes": "training memory", "ram_bytes": "RAM", "backward_macs": "backward MACs"}


def select(
    layer_table: CostTable,
    fisher: Mapping[str, np.ndarray] | None,
    budget: Budget,
    strategy: str = ON_BOARD,
    *,
    share: float = 0.5,
    seed: int = 0,
    rows: Mapping[str, np.ndarray] | None = None,
    bias_table: CostTable | None = None,
    fingerprint: str | None = None,
) -> UpdatePlan | None:
    """Choose layers and channels to train (Kwon et al., TinyTrain, 2024).

    The layers are taken in the strategy's order, each with ``share`` of its channels or as many as every budget allows,
    and left out where not even one fits. What is left of the budgets is then filled with further channels of the chosen
    layers, in the same order. Within a layer the channels with the largest potential are taken. Ties go to the lower
    position.

    Args:
        layer_table: what any plan costs.
        fisher: layer name -> Fisher potential of each channel, (channels,), finite and at least 0; one entry for each
            candidate. A common factor changes nothing but rounding. None for strategies that do not look at it.
        budget: limits; all binding.
        strategy: one of ``tt_tflm.plan.strategies.STRATEGIES``.
        share: of a layer's channels to take at first, above 0 and at most 1, rounded to 1/256; ``full``,
            ``last_layer``, ``bias_only`` and ``sparse_update`` take no notice of it.
        seed: of the strategy ``random``, at least 0.
        rows: layer name -> base rows, (channels, stride), with bias and zero padding; for ``magnitude``, and for
            ``sparse_update`` if wanted. Further layers are ignored.
        bias_table: the table of the same network for training biases alone, see ``wish.combine``; for
            ``bias_only`` and ``sparse_update``.
        fingerprint: of the model, recorded in the plan.

    Returns:
        A plan that records strategy, budget and what it spends; None for the strategy ``none``.

    Raises:
        InputError: an argument is malformed, or nothing fits the budgets: then the message tells the least that would.
    """
    wanted = STRATEGIES[strategy]
    if not isinstance(budget, Budget):
        raise InputError(f"expected a Budget, received {type(budget).__name__}")
    if not layer_table.candidates:
        raise InputError("expected a cost table with at least one layer, received an empty one")
    task = Task(layer_table, fisher, rows, bias_table, _share_256(share), _checked_seed(seed))
    limits = budget.resolve(layer_table.backward_macs_full)
    wish = wanted(task)
    if wish is None:
        return None
    chosen = _whole(wish, limits, strategy) if wanted.whole else _fitted(wish, limits)
    return UpdatePlan(
        _layers(wish, chosen, len(layer_table.candidates)),
        fingerprint,
        strategy=strategy,
        budget=limits.to_json(),
        spent=asdict(wish.table.cost(chosen)),
    )


def check_feasible(table: CostTable, budget: Budget) -> None:
    """Refuses a budget that nothing fits, whatever the potentials will be.

    Raises:
        InputError: not one channel fits; the message tells the least that would.
    """
    select(table, {c.layer: np.zeros(c.channels, np.float32) for c in table.candidates}, budget)


def plan_cost(table: CostTable, plan: UpdatePlan, bias_table: CostTable | None = None) -> PlanCost:
    """What a plan costs.

    Args:
        table: of the plan's network.
        plan: all of its layers are candidates of the table.
        bias_table: needed where the plan trains biases alone or leaves them out, see ``wish.combine``.

    Raises:
        InputError: a layer or channel that the table lacks, or no bias table where one is needed.
    """
    numbers = {c.layer: i for i, c in enumerate(table.candidates)}
    layers = plan.resolve({c.layer: c.channels for c in table.candidates}, plan.fingerprint or "")
    apart = [name for name, layer in layers.items() if not (layer.bias and layer.weights)]
    if apart and bias_table is None:
        raise InputError(
            f"layer '{apart[0]}': expected bias_table to cost a plan that parts bias and weights, received none"
        )
    both = table if bias_table is None else combine(table, bias_table)
    chosen, not_updated = {}, 0
    for name, layer in layers.items():
        number = numbers[name]
        chosen[number if layer.weights else number + len(numbers)] = len(layer.channels)
        if not layer.bias:
            not_updated += len(layer.channels) * both.candidates[number + len(numbers)].row_parameters
    cost = both.cost(chosen)
    return PlanCost(
        cost.training_memory_bytes, cost.ram_bytes, cost.backward_macs, cost.updated_parameters - not_updated
    )


def _share_256(share: float) -> int:
    real = isinstance(share, (int, float, np.integer, np.floating)) and not isinstance(share, bool)
    if not real or not 0 < share <= 1:
        raise InputError(f"expected a share of channels above 0 and at most 1, received {share!r}")
    return math.floor(float(share) * SHARE_UNIT + 0.5)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"expected a seed that is a whole number from 0, received {seed!r}")
    return int(seed)


def _fitted(wish: Wish, limits: ResolvedBudget) -> dict[int, int]:
    chosen: dict[int, int] = {}
    for step in wish.steps:
        count = min(step.first, _most(wish.table, chosen, step, limits))
        if count > 0:
            chosen[step.candidate] = count
    if not chosen:
        raise _too_small(wish, limits)
    for step in wish.steps:
        if step.candidate in chosen:
            chosen[step.candidate] = min(step.most, _most(wish.table, chosen, step, limits))
    return chosen


def _most(table: CostTable, chosen: Mapping[int, int], step: Step, limits: ResolvedBudget) -> int:
    """The most channels of a candidate, not above all of them, that keep the budgets with the others as they are."""
    candidate = table.candidates[step.candidate]
    one = table.cost({**chosen, step.candidate: 1})
    most = candidate.channels
    for limit, spent, per_channel in (
        (limits.training_memory_bytes, one.training_memory_bytes, candidate.row_bytes),
        (limits.ram_bytes, one.ram_bytes, candidate.row_bytes),
        (limits.backward_macs, one.backward_macs, candidate.channel_macs),
    ):
        if limit is None:
            continue
        if spent > limit:
            return 0
        if per_channel > 0:
            most = min(most, 1 + (limit - spent) // per_channel)
    return most


def _whole(wish: Wish, limits: ResolvedBudget, strategy: str) -> dict[int, int]:
    chosen = {step.candidate: step.first for step in wish.steps}
    needed = asdict(wish.table.cost(chosen))
    given = {name: limit for name, limit in limits.to_json().items() if limit is not None}
    if any(needed[name] > limit for name, limit in given.items()):
        raise InputError(
            f"strategy '{strategy}': expected a budget of at least {_listed(given, needed)}, received "
            f"{_listed(given, given)}: raise it, or choose a strategy that fits itself to it"
        )
    return chosen


def _too_small(wish: Wish, limits: ResolvedBudget) -> InputError:
    """Costs only grow with further channels and layers, so the least of every figure is that of a single channel."""
    given = {name: limit for name, limit in limits.to_json().items() if limit is not None}
    costs = [(wish.table.candidates[s.candidate].layer, asdict(wish.table.cost({s.candidate: 1}))) for s in wish.steps]
    least = {name: min(cost[name] for _, cost in costs) for name in given}
    layer, nearest = min(costs, key=lambda item: max(item[1][name] / limit for name, limit in given.items()))
    message = (
        f"expected a budget that one channel of one layer fits, received {_listed(given, given)}: the least of any "
        f"plan is {_listed(given, least)}"
    )
    if any(nearest[name] > least[name] for name in given):
        message += f"; no one plan has them all: the nearest is layer '{layer}' with {_listed(given, nearest)}"
    return InputError(message)


def _listed(names: Sequence[str] | Mapping[str, Any], figures: Mapping[str, int]) -> str:
    parts = [f"{_LIMITS[name]} {figures[name]}" + (" bytes" if name.endswith("_bytes") else "") for name in names]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _layers(wish: Wish, chosen: Mapping[int, int], candidates: int) -> dict[str, LayerPlan]:
    """In forward order; numbers from ``candidates`` on train biases alone."""
    potentials = {step.candidate: step.potentials for step in wish.steps}
    layers = {}
    for number in sorted(chosen, key=lambda i: (i % candidates, i)):
        order = np.argsort(-potentials[number], kind="stable")[: chosen[number]]
        layers[wish.table.candidates[number].layer] = LayerPlan(
            tuple(sorted(int(channel) for channel in order)), weights=number < candidates
        )
    return layers
