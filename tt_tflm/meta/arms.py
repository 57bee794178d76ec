# SPDX-License-Identifier: Apache-2.0
"""Strategies ready to be compared: builds, plans and costs made once, then one episode after the other.

Strategies whose plan depends on the task share one dynamic build, whose board takes the Fisher potentials, selects and
is told the plans of the others. The rest have one plan for all tasks and a static build of it each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_tflm.boards.simulated.task import Augment
from tt_tflm.build.artefact import Build, load_build
from tt_tflm.build.converter import TrainableConverter
from tt_tflm.build.planning import plan_on_host
from tt_tflm.errors import InputError
from tt_tflm.meta.instructions import count_instructions
from tt_tflm.options import Adam, PrototypeLoss, optimizer_spec
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import MAX_CANDIDATES, CostTable
from tt_tflm.plan.select import plan_cost, select
from tt_tflm.plan.tail import tail_table
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.program.static import loss_spec, static_program

if TYPE_CHECKING:
    from tt_tflm.boards.episode import Episode
    from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
    from tt_tflm.boards.simulated.task import Adaptation

PER_TASK = ("tinytrain", "fisher", "fisher_memory", "fisher_compute", "random", "magnitude")
FIXED = ("last_layer", "full", "bias_only", "sparse_update")
STRATEGIES = ("none", *FIXED, *PER_TASK)
BACKENDS = ("c", "tflm", "tf")
# Chosen on the tuning episodes, see docs/experiments.md.
LEARNING_RATES = {"full": 1e-4, "last_layer": 1e-3, "bias_only": 3e-3, "sparse_update": 3e-3} | dict.fromkeys(
    PER_TASK, 3e-3
)
_COSTS = ("training_memory_bytes", "ram_bytes", "backward_macs")


@dataclass(frozen=True)
class Recipe:
    """How every strategy adapts.

    Attributes:
        iterations: updates.
        augment: of the pseudo-queries.
        seed: of the pseudo-queries and of the strategy ``random``, which adds the number of the episode.
        temperature: of the loss.
        paced: whether the learning rate goes by the tightness of the support set (ops/include/tt_episode.h).
    """

    iterations: int = 40
    augment: Augment = Augment()
    seed: int = 0
    temperature: float = PrototypeLoss.temperature
    paced: bool = True

    def adapt(
        self, board: AdaptiveBoard, episode: Episode, plan: UpdatePlan | None, iterations: int | None = None
    ) -> Adaptation:
        """Has a board adapt to an episode.

        Args:
            board: whose learning rate is set.
            episode: fitted to the model's input.
            plan: what to train; None where the build has a plan or the board selects.
            iterations: in place of the recipe's.
        """
        told: dict[str, Any] = {} if plan is None else {"plan": plan}
        return board.adapt(
            episode.support_x,
            episode.support_y,
            self.iterations if iterations is None else iterations,
            paced=self.paced,
            augment=self.augment,
            seed=self.seed,
            **told,
        )


@dataclass(frozen=True)
class Arm:
    """A strategy: where its build lies, and what it costs where that is the same for every task.

    Attributes:
        strategy: its name.
        folder: of its build; None for ``none`` with backend tf.
        learning_rate: of Adam.
        costs: ``training_memory_bytes``, ``ram_bytes`` and ``backward_macs``; None where they depend on the task.
    """

    strategy: str
    folder: str | None
    learning_rate: float
    costs: Mapping[str, int] | None


@dataclass(frozen=True)
class Outcome:
    """One strategy on one episode: share of right answers from 0 to 1, and what it cost."""

    accuracy: float
    costs: Mapping[str, int]


def prepare(
    converter: TrainableConverter,
    strategies: Sequence[str],
    budget: Budget,
    rates: Mapping[str, float],
    example: Episode,
    folder: Path,
    tell: Callable[[str], None],
) -> tuple[list[Arm], CostTable | None]:
    """Makes the builds of all strategies.

    Args:
        converter: of the model, with its ``PrototypeLoss``.
        strategies: out of ``STRATEGIES``.
        budget: of those that fit themselves to one; ``full`` and ``last_layer`` are what they are.
        rates: strategy -> learning rate of Adam.
        example: any episode: planning asks for one.
        folder: empty, for the builds.
        tell: called with the name of every stage before it runs.

    Returns:
        The arms, in the order of the strategies, and the costs of the inspected layers.

    Raises:
        InputError: nothing fits the budget, or the model cannot be converted.
    """
    workshop = _Workshop(converter, budget, example, folder, tell)
    return [workshop.arm(strategy, rates[strategy]) for strategy in strategies], workshop.table


class _Workshop:
    def __init__(
        self, converter: TrainableConverter, budget: Budget, example: Episode, folder: Path, tell: Callable[[str], None]
    ) -> None:
        self._converter, self._budget, self._example = converter, budget, example
        self._folder, self._tell = folder, tell
        self._dynamic: dict[float, str] = {}
        self._fixed_ram = 0
        self.table: CostTable | None = None

    def arm(self, strategy: str, rate: float) -> Arm:
        if strategy == "none":
            return self._none()
        self._converter.optimizer = Adam(learning_rate=rate, batch_size=2)
        if strategy in PER_TASK:
            return Arm(strategy, self._dynamic_build(rate), rate, None)
        self._tell(f"build of {strategy}")
        if strategy in ("full", "last_layer"):
            layers = self._converter.layers if strategy == "full" else self._converter.layers[-1:]
            plan = UpdatePlan({layer.name: "all" for layer in layers})
        else:
            plan = plan_on_host(self._converter, self._example, self._budget, strategy)
        self._converter.mode, self._converter.plan = "static", plan
        build = self._converter.convert()
        costs = {name: int(build.report_data[name]) for name in _COSTS}
        return Arm(strategy, self._saved(build, strategy), rate, costs)

    def _none(self) -> Arm:
        """A build has to train something: the last layer, whose training is never called. Its RAM is that of
        prediction."""
        converter = self._converter
        converter.optimizer, converter.mode, converter.plan = Adam(batch_size=2), "static", None
        self._tell("build of none")
        build = converter.convert()
        model = converter._import()
        last = {model.layers[-1].name: LayerPlan((0,))}
        program = static_program(model, last, converter.loss, converter.optimizer, lambda _stage: None)
        prototypes = program.classes * (model.output_elements + 1) * 4
        ram = program.functions["predict"].arena_bytes + prototypes + program.session_bytes
        return Arm("none", self._saved(build, "none"), 0.0, dict(zip(_COSTS, (0, ram, 0), strict=True)))

    def _dynamic_build(self, rate: float) -> str:
        """Its learning rate is set on the board: one build serves them all."""
        if not self._dynamic:
            converter = self._converter
            self._tell("cost of the layers")
            converter.mode, converter.plan, converter.budget = "dynamic", None, self._budget
            if self._budget.ram is None:
                converter.tail = self._affordable()
            self._tell("build that chooses")
            build = converter.convert()
            choice = build.simulation["choice"]
            self.table = replace(self._table(len(choice["candidates"])), fixed_ram_bytes=int(choice["fixed_ram_bytes"]))
            self._dynamic[rate] = self._saved(build, "dynamic")
            converter.budget, converter.tail = Budget(), None
        return next(iter(self._dynamic.values()))

    def _affordable(self) -> int:
        """The number of last layers, from the earliest of which one channel fits the budget: inspecting what cannot be
        chosen would take time and memory for nothing. A limit of RAM is the converter's to keep."""
        whole = self._table(min(len(self._converter.layers), MAX_CANDIDATES))
        limits = self._budget.resolve(whole.backward_macs_full).to_json()
        for number in range(len(whole.candidates)):
            one = asdict(whole.cost({number: 1}))
            if all(limit is None or one[name] <= limit for name, limit in limits.items()):
                return len(whole.candidates) - number
        return len(whole.candidates)  # the converter says what would fit

    def _table(self, tail: int) -> CostTable:
        converter = self._converter
        model = converter._import()
        everything = {layer.name: LayerPlan(tuple(range(layer.channels))) for layer in model.layers}
        full = model.cost(everything, converter.loss, converter.optimizer).backward_macs
        spec = replace(optimizer_spec(converter.optimizer), at_run_time=True)
        candidates = tuple(range(len(model.layers) - tail, len(model.layers)))
        return tail_table(model.module, loss_spec(model, converter.loss), model.layers, candidates, spec, 0, full)

    def _saved(self, build: Build, name: str) -> str:
        target = self._folder / name
        build.save(target)
        return str(target)


class Bench:
    """Runs arms on episodes in one process. Boards are compiled when they are first needed.

    Args:
        arms: from ``prepare``.
        table: from ``prepare``.
        budget: that the arms were made for.
        recipe: of every adaptation.
        backend: ``c``, the device code on this machine, ``tflm``, TensorFlow Lite Micro's interpreter, or ``tf``,
            TensorFlow; the builds of the arms are of ``tflm`` if this is, else of ``c``.
        model: a .keras file, for backend tf.
        threads: of TensorFlow in this process.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        table: CostTable | None,
        budget: Budget,
        recipe: Recipe,
        backend: str,
        model: str,
        threads: int,
    ) -> None:
        self._arms = {arm.strategy: arm for arm in arms}
        self._table, self._budget, self._recipe = table, budget, recipe
        self._backend, self._model, self._threads = backend, model, threads
        self._boards: dict[str, Any] = {}
        self._builds: dict[str, Build] = {}
        self._keras: Any = None
        self._adaptations: dict[float, Any] = {}

    def run(self, strategy: str, episode: Episode, number: int) -> Outcome:
        """One strategy on one episode.

        Raises:
            DeviceError: training diverged.
        """
        arm = self._arms[strategy]
        if self._backend != "tf" and arm.costs is not None:
            return Outcome(self._on_board(arm, episode, None), arm.costs)
        plan: UpdatePlan | None
        costs: Mapping[str, int]
        if arm.costs is None:
            plan = self._plan(arm, episode, number)
            spent = asdict(plan_cost(self._table, plan))
            costs = {name: int(spent[name]) for name in _COSTS}
        else:
            plan, costs = self._fixed_plan(arm), arm.costs
        if self._backend == "tf":
            return Outcome(self._in_tensorflow(arm, episode, plan), costs)
        return Outcome(self._on_board(arm, episode, plan), costs)

    def instructions(self, strategy: str, episode: Episode, device: str) -> Mapping[str, int] | None:
        """One strategy's instructions on an emulated core, for the first episode; see ``count_instructions``."""
        arm = self._arms[strategy]
        told = arm.costs is None and strategy != "tinytrain"
        return count_instructions(arm, self._plan(arm, episode, 0) if told else None, episode, self._recipe, device)

    def _board(self, folder: str) -> Any:
        if folder not in self._boards:
            self._builds[folder] = load_build(folder)
            self._boards[folder] = self._builds[folder].simulate()
        board = self._boards[folder]
        board.reset()
        return board

    def _plan(self, arm: Arm, episode: Episode, number: int) -> UpdatePlan:
        """By the device's potentials; what the board itself selects is tested to be the same."""
        board = self._board(arm.folder or "")
        fisher = None
        if arm.strategy not in ("random", "magnitude"):
            for x, label in zip(episode.support_x, episode.support_y, strict=True):
                board.enroll(x, int(label))
            for x, label in zip(episode.support_x, episode.support_y, strict=True):
                board.fisher_accumulate(x, int(label))
            if arm.strategy == "tinytrain":
                return board.select()
            fisher = board.fisher()
        build = self._builds[arm.folder or ""]
        plan = select(
            self._table, fisher, self._budget, arm.strategy, seed=self._recipe.seed + number, rows=build.rows
        )  # fmt: skip
        if plan is None:
            raise InputError(f"expected a strategy that trains something, received {arm.strategy!r}")
        return plan

    def _fixed_plan(self, arm: Arm) -> UpdatePlan | None:
        return None if arm.strategy == "none" else UpdatePlan.load(Path(arm.folder or "") / "plan.json")

    def _on_board(self, arm: Arm, episode: Episode, plan: UpdatePlan | None) -> float:
        board = self._board(arm.folder or "")
        if arm.strategy == "none":
            for x, label in zip(episode.support_x, episode.support_y, strict=True):
                board.enroll(x, int(label))
        else:
            board.set_learning_rate(arm.learning_rate)
            self._recipe.adapt(board, episode, plan)
        right = sum(
            int(board.predict(x).argmax()) == int(y) for x, y in zip(episode.query_x, episode.query_y, strict=True)
        )
        return right / len(episode.query_y)

    def _in_tensorflow(self, arm: Arm, episode: Episode, plan: UpdatePlan | None) -> float:
        adaptation = self._adaptation(arm.learning_rate or Adam().learning_rate)
        if plan is None:
            return adaptation.accuracy(episode)
        channels = {layer.name: layer.channels for layer in adaptation.layers}
        layers = plan.resolve(channels, plan.fingerprint or "")
        recipe = self._recipe
        return adaptation.adapt(episode, layers, recipe.iterations, recipe.augment, recipe.seed, paced=recipe.paced)[0]

    def _adaptation(self, rate: float) -> Any:
        from tt_tflm.frontend.keras_model import load_keras
        from tt_tflm.meta.tf_adaptation import TfAdaptation

        if self._keras is None:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(self._threads))
            os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
            self._keras = load_keras(self._model)
        if rate not in self._adaptations:
            self._adaptations[rate] = TfAdaptation(self._keras, self._recipe.temperature, Adam(learning_rate=rate))
        return self._adaptations[rate]
