# SPDX-License-Identifier: Apache-2.0
"""Strategies ready to be compared: builds, plans and costs made once, then one episode after the other.

Strategies whose plan depends on the task share one dynamic build, whose board takes the Fisher potentials, selects and
is told the plans of the others. The rest have one plan for all tasks and a static build of it each.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_tflm.build.artefact import Build, load_build
from tt_tflm.build.converter import TrainableConverter
from tt_tflm.build.planning import plan_on_host
from tt_tflm.errors import InputError, InputWarning
from tt_tflm.meta.instructions import count_instructions
from tt_tflm.meta.recipe import COSTS, Arm, Outcome, Recipe
from tt_tflm.optimizers import Adam
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import MAX_CANDIDATES, CostTable
from tt_tflm.plan.select import plan_cost, select
from tt_tflm.plan.strategies import NONE, ON_BOARD, STRATEGIES
from tt_tflm.plan.tail import tail_table
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan
from tt_tflm.program.static import loss_spec, static_program

if TYPE_CHECKING:
    from tt_tflm.boards.episode import Episode


def prepare(
    converter: TrainableConverter,
    rates: Mapping[str, float],
    budget: Budget,
    example: Episode,
    folder: Path,
    tell: Callable[[str], None],
) -> tuple[list[Arm], CostTable | None]:
    """Makes the builds of all strategies.

    Args:
        converter: of the model, with its ``PrototypeLoss``.
        rates: strategy out of ``tt_tflm.plan.strategies.STRATEGIES`` -> learning rate of Adam.
        budget: of those that fit themselves to one; what is all or nothing is what it is.
        example: any episode: planning asks for one.
        folder: empty, for the builds.
        tell: called with the name of every stage before it runs.

    Returns:
        The arms, in the order of the strategies, and the costs of the inspected layers.

    Raises:
        InputError: nothing fits the budget, or the model cannot be converted.
    """
    workshop = _Workshop(converter, budget, example, folder, tell)
    return [workshop.arm(strategy, rate) for strategy, rate in rates.items()], workshop.table


class _Workshop:
    def __init__(
        self, converter: TrainableConverter, budget: Budget, example: Episode, folder: Path, tell: Callable[[str], None]
    ) -> None:
        self._converter, self._budget, self._example = converter, budget, example
        self._folder, self._tell = folder, tell
        self._dynamic: str | None = None
        self.table: CostTable | None = None

    def arm(self, strategy: str, rate: float) -> Arm:
        if strategy == NONE:
            return self._none()
        self._converter.optimizer = Adam(learning_rate=rate, batch_size=2)
        wanted = STRATEGIES[strategy]
        if wanted.per_task:
            return Arm(strategy, self._dynamic_build(), rate, None)
        self._tell(f"build of {strategy}")
        plan = plan_on_host(self._converter, self._example, Budget() if wanted.whole else self._budget, strategy)
        self._converter.mode, self._converter.plan = "static", plan
        build = self._converter.convert()
        costs = {name: int(build.report_data[name]) for name in COSTS}
        return Arm(strategy, self._saved(build, strategy), rate, costs)

    def _none(self) -> Arm:
        """A build has to train something: the last layer, whose training is never called. Its RAM is that of
        prediction."""
        converter = self._converter
        converter.optimizer, converter.mode, converter.plan = Adam(batch_size=2), "static", None
        self._tell(f"build of {NONE}")
        build = converter.convert()
        model = converter._import()
        last = {model.layers[-1].name: LayerPlan((0,))}
        program = static_program(model, last, converter.loss, converter.optimizer, lambda _stage: None)
        prototypes = program.loss.classes * (model.output_elements + 1) * 4
        ram = program.functions["predict"].arena_bytes + prototypes + program.session_bytes
        return Arm(NONE, self._saved(build, NONE), 0.0, dict(zip(COSTS, (0, ram, 0), strict=True)))

    def _dynamic_build(self) -> str:
        """Its learning rate is set on the board: one build serves them all."""
        if self._dynamic is None:
            converter = self._converter
            self._tell("cost of the layers")
            converter.mode, converter.plan, converter.budget = "dynamic", None, self._budget
            if self._budget.ram is None:
                converter.tail = self._affordable()
            self._tell("build that chooses")
            build = converter.convert()
            choice = build.simulation["choice"]
            self.table = replace(self._table(len(choice["candidates"])), fixed_ram_bytes=int(choice["fixed_ram_bytes"]))
            self._dynamic = self._saved(build, "dynamic")
            converter.budget, converter.tail = Budget(), None
        return self._dynamic

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
        spec = converter.optimizer.spec(at_run_time=True)
        candidates = tuple(range(len(model.layers) - tail, len(model.layers)))
        return tail_table(model.module, loss_spec(model, converter.loss), model.layers, candidates, spec, 0, full)

    def _saved(self, build: Build, name: str) -> str:
        target = self._folder / name
        build.save(target)
        return str(target)


@dataclass(frozen=True)
class Comparison:
    """Arms, ready to be run in any process.

    Attributes:
        arms: from ``prepare``.
        table: from ``prepare``.
        budget: that the arms were made for.
        recipe: of every adaptation.
        backend: ``c``, the device code on this machine, ``tflm``, TensorFlow Lite Micro's interpreter, or ``tf``,
            TensorFlow; the builds of the arms are of ``tflm`` if this is, else of ``c``.
        model: a file of a Keras model, for backend tf.
    """

    arms: tuple[Arm, ...]
    table: CostTable | None
    budget: Budget
    recipe: Recipe
    backend: str
    model: str


class Bench:
    """Runs arms on episodes in one process. Boards are compiled when they are first needed.

    Args:
        comparison: what is run.
        threads: of TensorFlow in this process.
    """

    def __init__(self, comparison: Comparison, threads: int) -> None:
        self._arms = {arm.strategy: arm for arm in comparison.arms}
        self._table, self._budget, self._recipe = comparison.table, comparison.budget, comparison.recipe
        self._backend, self._model, self._threads = comparison.backend, comparison.model, threads
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
            costs = {name: int(spent[name]) for name in COSTS}
        else:
            plan, costs = self._fixed_plan(arm), arm.costs
        if self._backend == "tf":
            return Outcome(self._in_tensorflow(arm, episode, plan), costs)
        return Outcome(self._on_board(arm, episode, plan), costs)

    def instructions(self, strategy: str, episode: Episode, device: str) -> Mapping[str, int] | None:
        """One strategy's instructions on an emulated core, for the first episode; see ``count_instructions``."""
        arm = self._arms[strategy]
        told = arm.costs is None and strategy != ON_BOARD
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
        if STRATEGIES[arm.strategy].fisher:
            for x, label in zip(episode.support_x, episode.support_y, strict=True):
                board.enroll(x, int(label))
            for x, label in zip(episode.support_x, episode.support_y, strict=True):
                board.fisher_accumulate(x, int(label))
            if arm.strategy == ON_BOARD:
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
        return None if arm.strategy == NONE else UpdatePlan.load(Path(arm.folder or "") / "plan.json")

    def _on_board(self, arm: Arm, episode: Episode, plan: UpdatePlan | None) -> float:
        board = self._board(arm.folder or "")
        if arm.strategy == NONE:
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
        from tt_tflm.frontend.loaders import load_keras
        from tt_tflm.meta.tf_adaptation import TfAdaptation

        if self._keras is None:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(self._threads))
            os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
            with warnings.catch_warnings():
                # It was said when the model was converted.
                warnings.simplefilter("ignore", InputWarning)
                self._keras = load_keras(self._model)
        if rate not in self._adaptations:
            self._adaptations[rate] = TfAdaptation(self._keras, self._recipe.temperature, Adam(learning_rate=rate))
        return self._adaptations[rate]
