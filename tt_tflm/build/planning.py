# SPDX-License-Identifier: Apache-2.0
"""Planning for static builds: Fisher on this machine, then selection by what the build will really hold."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.boards.episode import Episode, fit_samples
from tt_tflm.boards.input_range import InputRange, check_image_scale, warn_of_outliers
from tt_tflm.build.converter import TrainableConverter
from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget, ResolvedBudget
from tt_tflm.plan.cost_table import MAX_CANDIDATES, CostTable, PlanCost
from tt_tflm.plan.select import select
from tt_tflm.plan.strategies import NONE, ON_BOARD, STRATEGIES
from tt_tflm.plan.tail import tail_table
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.plan.wish import SHARE_UNIT, Task, Wish
from tt_tflm.program.static import loss_spec, static_program
from tvm_passes.specs import CLASS

if TYPE_CHECKING:
    from tt_tflm.losses import Loss
    from tt_tflm.optimizers import Optimizer
    from tt_tflm.program.static import ImportedModel

Report = Callable[[str], None]
# Beyond what any budget can hold.
_UNAFFORDABLE = 2**63


def plan_on_host(
    converter: TrainableConverter,
    support: Episode | tuple[np.ndarray, np.ndarray],
    budget: Budget,
    strategy: str = ON_BOARD,
    *,
    share: float = 0.5,
    seed: int = 0,
    report: Report | None = None,
) -> UpdatePlan:
    """Choose what a static build of the converter's model trains for a task.

    The last layers, at most 64, are inspected with the code that boards run. Strategies that need no Fisher potentials
    skip this, and those that are all or nothing look at every layer. What the plan spends is what a build with the
    converter's loss and optimiser has: its training memory, its RAM as placed, its backward MACs.

    Args:
        converter: with loss and optimiser; its mode, plan, budget and target play no part and stay as they are.
        support: an episode, or its support samples, float32 (N, *input shape) or what is cast to it, or uint8 images,
            and their labels, integers (N,) of at least two classes.
        budget: limits; all binding.
        strategy: one of ``tt_tflm.plan.strategies.STRATEGIES`` but ``none``.
        share: see ``tt_tflm.plan.select.select``.
        seed: of the strategy ``random``.
        report: called with the name of every stage before it runs.

    Raises:
        InputError: an argument is malformed, or nothing fits the budget: then the message tells the least that would.
        ToolchainError: there is no C compiler, for strategies that need Fisher potentials.

    Example:
        >>> plan = plan_on_host(converter, (support_x, support_y), Budget("256KB", backward_macs=0.15))
        >>> converter.plan = plan
    """
    tell = report or (lambda _stage: None)
    wanted = STRATEGIES[strategy]
    if strategy == NONE:
        raise InputError("expected a strategy that trains something, received 'none': there would be no plan")
    if not isinstance(budget, Budget):
        raise InputError(f"expected a Budget, received {type(budget).__name__}")
    samples, labels = _checked_support(support)
    bounds = InputRange.of(converter.input_scaling)
    samples = fit_samples("support", samples, converter.input_shape, converter.input_scaling)
    check_image_scale("support", samples, bounds)
    warn_of_outliers("support", samples, bounds, converter.calibrated)
    settings = _inspecting(converter)
    if wanted.fisher and settings.loss.label != CLASS:
        raise InputError(
            f"strategy {strategy}: expected a loss whose labels are classes, as those of the support are, received "
            f"'{settings.loss.name}': choose a strategy without Fisher potentials, or have the board choose"
        )
    model = settings._import(tell)
    # What is all or nothing is costed on all layers; a choice among them is one that boards could make.
    settings.tail = len(model.layers) if wanted.whole else min(len(model.layers), MAX_CANDIDATES)
    tell("cost of the layers")
    planner = _Planner(settings, model, budget, strategy, share, seed)
    # Which budgets can be kept does not depend on the potentials: refuse before the long part.
    planner.select(_zeros(planner.table) if wanted.fisher else None)
    fisher = _inspect(settings, samples, labels, tell) if wanted.fisher else None
    tell("selection")
    return planner.plan(fisher)


def _checked_support(support: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(support, Episode):
        return support.support_x, support.support_y
    try:
        samples, labels = (np.asarray(part) for part in support)
    except (TypeError, ValueError):
        raise InputError(f"expected an Episode or (samples, labels), received {type(support).__name__}") from None
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"expected support labels of integers (N,), received {labels.dtype} {labels.shape}")
    if samples.ndim == 0 or len(samples) != len(labels):
        raise InputError(f"expected {len(labels)} support samples, one for each label, received {samples.shape}")
    if len(np.unique(labels)) < 2:
        raise InputError(f"expected support samples of at least 2 classes, received {len(np.unique(labels))}")
    return samples, labels


def _inspecting(converter: TrainableConverter) -> TrainableConverter:
    """The same model and options, as a build for this machine that holds the potentials of all its layers."""
    settings = copy.copy(converter)
    settings.mode, settings.target, settings.plan = "dynamic", "host", None
    settings.budget = Budget()
    settings.loss = converter.objective
    settings._check_options()
    return settings


def _inspect(
    settings: TrainableConverter, samples: np.ndarray, labels: np.ndarray, tell: Report
) -> dict[str, np.ndarray]:
    build = settings.convert(tell)
    tell("compile for this machine")
    with build.simulate("host") as board:
        if settings.loss.temperature is not None:
            for x, label in zip(samples, labels, strict=True):
                board.enroll(x, int(label))
        tell("Fisher potentials")
        for x, label in zip(samples, labels, strict=True):
            board.fisher_accumulate(x, int(label))
        return board.fisher()


def _zeros(table: CostTable) -> dict[str, np.ndarray]:
    return {c.layer: np.zeros(c.channels, np.float32) for c in table.candidates}


class _Planner:
    """Selection over the tail of a model, and the cost of what it chooses in a static build."""

    def __init__(
        self, settings: TrainableConverter, model: ImportedModel, budget: Budget, strategy: str, share: float, seed: int
    ) -> None:
        self._model = model
        self._loss: Loss = settings.loss
        self._optimizer: Optimizer = settings.optimizer
        self._budget = budget
        self._strategy = strategy
        self._share, self._seed = share, seed
        self._costs: dict[tuple[tuple[str, LayerPlan], ...], PlanCost] = {}
        everything = {layer.name: LayerPlan(tuple(range(layer.channels))) for layer in model.layers}
        self._full = model.cost(everything, self._loss, self._optimizer).backward_macs
        self._tail = tuple(range(len(model.layers) - int(settings.tail or 1), len(model.layers)))
        self._rows = {layer.name: rows for layer, rows in zip(model.layers, model.rows, strict=True)}
        self._bias_table = self._table(biases_alone=True) if STRATEGIES[strategy].biases else None
        self.table = self._table(biases_alone=False)

    def select(
        self,
        fisher: Mapping[str, np.ndarray] | None,
        training_memory: int | None = None,
        barred: frozenset[int] = frozenset(),
    ) -> UpdatePlan:
        """A plan within the budget but for the RAM, and within ``training_memory`` where that is less. ``barred``:
        numbers in the wish's table that must not be chosen."""
        n = len(self.table.candidates)
        limit = self._budget.training_memory if training_memory is None else training_memory
        plan = select(
            _barring(self.table, barred),
            fisher,
            Budget(limit, None, self._budget.backward_macs),
            self._strategy,
            share=self._share,
            seed=self._seed,
            rows=self._rows,
            bias_table=self._bias_table and _barring(self._bias_table, frozenset(i - n for i in barred)),
        )
        if plan is None:
            raise InputError(f"expected a strategy that trains something, received {self._strategy!r}")
        return plan

    def plan(self, fisher: Mapping[str, np.ndarray] | None) -> UpdatePlan:
        """The plan, with what it spends."""
        limits = self._budget.resolve(self._full)
        plan = self.select(fisher)
        if not _keeps(self._cost(self._layers(plan)), limits):
            plan = self._within_ram(fisher, limits)
        layers = self._layers(plan)
        return UpdatePlan(
            layers,
            self._model.fingerprint,
            strategy=self._strategy,
            budget=limits.to_json(),
            spent=asdict(self._cost(layers)),
        )

    def _within_ram(self, fisher: Mapping[str, np.ndarray] | None, limits: ResolvedBudget) -> UpdatePlan:
        """RAM depends on what the arena planner makes of a plan, which no sum over its parts tells: layers that do not
        fit even alone are barred, and the training memory is lowered until the rest fits."""
        wish = self._wish(fisher)
        if STRATEGIES[self._strategy].whole:
            needed = self._cost(self._layers(self.select(fisher))).ram_bytes
            raise InputError(
                f"strategy '{self._strategy}': expected a budget of at least RAM {needed} bytes, received "
                f"{limits.ram_bytes}: raise it, or choose a strategy that fits itself to it"
            )
        alone = {
            step.candidate: self._cost(self._channel(wish, step.candidate))
            for step in wish.steps
            if _keeps(wish.table.cost({step.candidate: 1}), replace(limits, ram_bytes=None))
        }
        fitting = {number for number, cost in alone.items() if _keeps(cost, limits)}
        if not fitting:
            raise InputError(
                f"expected a budget that one channel of one layer fits, received RAM {limits.ram_bytes} bytes: "
                f"the least of any plan is RAM {min(cost.ram_bytes for cost in alone.values())} bytes"
            )
        barred = frozenset(range(len(wish.table.candidates))) - fitting
        best: UpdatePlan | None = None
        low, high = 0, 1 + self._most_training_memory(wish, fitting, limits)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                plan = self.select(fisher, middle, barred)
            except InputError:  # less than one channel of one layer
                low = middle
                continue
            if _keeps(self._cost(self._layers(plan)), limits):
                best, low = plan, middle
            else:
                high = middle
        if best is None:
            raise InputError(f"expected a budget that a plan fits, received RAM {limits.ram_bytes} bytes: raise it")
        return best

    def _most_training_memory(self, wish: Wish, fitting: set[int], limits: ResolvedBudget) -> int:
        if limits.training_memory_bytes is not None:
            return limits.training_memory_bytes
        return wish.table.cost({i: wish.table.candidates[i].channels for i in fitting}).training_memory_bytes

    def _wish(self, fisher: Mapping[str, np.ndarray] | None) -> Wish:
        share = max(1, round(self._share * SHARE_UNIT))
        wish = STRATEGIES[self._strategy](Task(self.table, fisher, self._rows, self._bias_table, share, self._seed))
        if wish is None:
            raise InputError(f"expected a strategy that trains something, received {self._strategy!r}")
        return wish

    def _channel(self, wish: Wish, number: int) -> dict[str, LayerPlan]:
        """The plan of one channel of a candidate of the wish's table."""
        weights = number < len(self.table.candidates)
        return {wish.table.candidates[number].layer: LayerPlan((0,), weights=weights)}

    def _layers(self, plan: UpdatePlan) -> dict[str, LayerPlan]:
        return plan.resolve({layer.name: layer.channels for layer in self._model.layers}, self._model.fingerprint)

    def _cost(self, layers: Mapping[str, LayerPlan]) -> PlanCost:
        """As a static build has it."""
        key = tuple(layers.items())
        if key not in self._costs:
            cost = self._model.cost(layers, self._loss, self._optimizer)
            program = static_program(self._model, layers, self._loss, self._optimizer, lambda _stage: None)
            self._costs[key] = PlanCost(
                cost.training_bytes, program.ram_bytes, cost.backward_macs, cost.updated_parameters
            )
        return self._costs[key]

    def _table(self, *, biases_alone: bool) -> CostTable:
        model = self._model
        spec = self._optimizer.spec(at_run_time=True)
        return tail_table(
            model.module,
            loss_spec(model, self._loss),
            model.layers,
            self._tail,
            spec,
            0,
            self._full,
            biases_alone=biases_alone,
        )


def _barring(table: CostTable, barred: frozenset[int]) -> CostTable:
    """The table with those candidates beyond any budget of training memory; scores stay what they are."""
    candidates = tuple(
        replace(c, row_bytes=_UNAFFORDABLE) if i in barred else c for i, c in enumerate(table.candidates)
    )
    return replace(table, candidates=candidates)


def _keeps(cost: PlanCost, limits: ResolvedBudget) -> bool:
    spent = asdict(cost)
    return all(limit is None or spent[name] <= limit for name, limit in limits.to_json().items())
