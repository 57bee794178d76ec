# SPDX-License-Identifier: Apache-2.0
"""Does adapting pay? Strategies on the same episodes: accuracies, paired differences, and what each costs."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_tflm.boards.adaptation import augment_for
from tt_tflm.build.converter import TrainableConverter
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.losses import PrototypeLoss
from tt_tflm.meta.arms import Bench, Comparison, prepare
from tt_tflm.meta.episodes import Rows, draw_episodes, load_episode_rows
from tt_tflm.meta.evaluation_settings import EvaluationSettings
from tt_tflm.meta.images import ImageSet, load_images
from tt_tflm.meta.recipe import COSTS, Outcome, Recipe
from tt_tflm.meta.statistics import mean_and_ci95
from tt_tflm.plan.strategies import STRATEGIES

if TYPE_CHECKING:
    import keras

    from tt_tflm.boards.episode import Episode

SCHEMA_VERSION = 1
REPRESENTATIVE_IMAGES = 100
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StrategyResult:
    """One strategy over all episodes.

    Attributes:
        accuracies: share of right answers of each episode, 0 to 1.
        costs: the largest ``training_memory_bytes``, ``ram_bytes`` and ``backward_macs`` of any episode.
        instructions: of an emulated core, see ``tt_tflm.meta.instructions.count_instructions``; None where it is too
            small; empty if not counted.
    """

    accuracies: tuple[float, ...] = field(repr=False)
    costs: Mapping[str, int]
    instructions: Mapping[str, int] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Results, strategy by strategy, on the same episodes in the same order."""

    model: str
    data: str
    strategies: Mapping[str, StrategyResult]

    def paired(self) -> list[dict[str, Any]]:
        """For every two strategies the mean of a - b over the episodes, and half its 95% interval; 0 to 1. Later
        strategies come first: they are what is compared."""
        names = list(self.strategies)
        rows = []
        for i, b in enumerate(names):
            for a in names[i + 1 :]:
                pairs = zip(self.strategies[a].accuracies, self.strategies[b].accuracies, strict=True)
                mean, ci95 = mean_and_ci95([x - y for x, y in pairs])
                rows.append({"a": a, "b": b, "mean": mean, "ci95": _number(ci95)})
        return rows

    def to_json(self) -> dict[str, Any]:
        """The content of the JSON report. Accuracies are shares; an interval of a single episode is null."""
        strategies = {}
        for name, result in self.strategies.items():
            mean, ci95 = mean_and_ci95(result.accuracies)
            strategies[name] = {
                "accuracy_mean": mean,
                "accuracy_ci95": _number(ci95),
                "accuracies": list(result.accuracies),
                **{cost: result.costs[cost] for cost in COSTS},
                **({} if result.instructions == {} else {"instructions": result.instructions}),
            }
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "data": self.data,
            "strategies": strategies,
            "paired": self.paired(),
        }


def evaluate(
    model: str | PathLike[str] | keras.Model,
    data: Any,
    settings: EvaluationSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Adapts a model to episodes by several strategies and judges each by the query samples.

    Args:
        model: ends in an embedding; a file of a Keras model, or one in memory.
        data: see ``tt_tflm.meta.images.load_images``.
        settings: None for the defaults.
        progress: called with what is going on, how much is done and how much there is in all.

    Raises:
        InputError: the model or the data is not as described, or nothing fits the budget.
        DeviceError: training diverged.
        ToolchainError: there is no C compiler, for ``tflm`` no tflite-micro wheel, or no emulator to count with.

    Example:
        >>> settings = EvaluationSettings(count=20, strategies=("none", "tinytrain"))
        >>> result = tt_tflm.meta.evaluate("model.keras", "target.npz", settings)
        >>> result.paired()
    """
    chosen = settings or EvaluationSettings()
    tell = progress or (lambda _stage, _done, _total: None)
    with tempfile.TemporaryDirectory(prefix="tt-tflm-evaluate-") as scratch:
        path = _as_file(model, Path(scratch))
        tell("loading the model", 0, 0)
        converter = TrainableConverter.from_keras_file(path)
        converter.input_scaling = chosen.input_scaling
        converter.backend = "tflm" if chosen.backend == "tflm" else "c"
        scaling = converter.input_scaling
        shape = converter.input_shape
        if len(shape) != 3:
            raise InputError(f"expected a model that takes images (H, W, C), received input {shape}")
        images = load_images(data, channels=shape[-1], skip_corrupt=chosen.skip_corrupt, progress=tell)
        images.check_scale(scaling)
        rows = _episodes(chosen, images)
        converter.loss = PrototypeLoss(classes=max(entry.ways for entry in rows), temperature=chosen.temperature)
        loaded = rows[0].load(images, shape, scaling)
        converter.precision = chosen.precision
        if chosen.precision == "int8":
            converter.representative_data = images.images(_support_rows(rows), shape, scaling)
        builds = Path(scratch) / "builds"
        builds.mkdir()
        rates = {strategy: chosen.learning_rate(strategy) for strategy in chosen.strategies}
        arms, table = prepare(converter, rates, chosen.budget, loaded, builds, lambda stage: tell(stage, 0, 0))
        augment = augment_for(scaling, chosen.flip)
        recipe = Recipe(chosen.iterations, augment, chosen.seed, chosen.temperature, chosen.paced)
        work = _Work(Comparison(tuple(arms), table, chosen.budget, recipe, chosen.backend, str(path)), chosen.jobs)
        # First, since it is soon over: what is missing for it shows before the long part.
        counting = chosen.instructions_on
        counts = {} if counting is None else work.instructions(loaded, counting, tell)
        outcomes = work.run((entry.load(images, shape, scaling) for entry in rows), len(rows), tell)
    name = Path(model).name if isinstance(model, (str, PathLike)) else model.name
    results = {strategy: _result(outcomes[strategy], counts.get(strategy, {})) for strategy in chosen.strategies}
    return Evaluation(name, _data_name(data), results)


def _support_rows(episodes: Sequence[Rows]) -> list[int]:
    """Rows of support images, each once, those of the first episodes first."""
    rows = dict.fromkeys(row for episode in episodes for row in episode.flat("support")[0])
    return list(rows)[:REPRESENTATIVE_IMAGES]


def _as_file(model: Any, folder: Path) -> Path:
    if isinstance(model, (str, PathLike)):
        return Path(model)
    path = folder / "model.keras"
    model.save(path)
    return path


def _episodes(settings: EvaluationSettings, images: ImageSet) -> list[Rows]:
    episodes = settings.episodes
    if episodes is None:
        return draw_episodes(images, settings.count, settings.ways, settings.shots, settings.queries, settings.seed)
    if isinstance(episodes, (str, PathLike)):
        return load_episode_rows(episodes, images)
    return list(episodes)


def _data_name(data: Any) -> str:
    return Path(data).name if isinstance(data, (str, PathLike)) else getattr(data, "name", type(data).__name__)


def _result(outcomes: Sequence[Outcome], instructions: Mapping[str, int] | None) -> StrategyResult:
    costs = {name: max(outcome.costs[name] for outcome in outcomes) for name in COSTS}
    return StrategyResult(tuple(outcome.accuracy for outcome in outcomes), costs, instructions)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


class _Work:
    """Every strategy on every episode, in this process or in several."""

    def __init__(self, comparison: Comparison, jobs: int) -> None:
        self._comparison, self._jobs = comparison, jobs

    def run(self, episodes: Iterator[Episode], count: int, tell: Progress) -> dict[str, list[Outcome]]:
        """strategy -> outcome of each episode."""
        names = [arm.strategy for arm in self._comparison.arms]
        results: dict[str, list[Outcome | None]] = {name: [None] * count for name in names}
        total, done = count * len(names), 0
        tasks = ((name, number, episode) for number, episode in enumerate(episodes) for name in names)
        for name, number, outcome in self._outcomes(tasks):
            results[name][number] = outcome
            done += 1
            tell("adapting", done, total)
        return results

    def instructions(self, episode: Episode, device: str, tell: Progress) -> dict[str, Mapping[str, int] | None]:
        """strategy -> instructions of the first episode on an emulated core."""
        bench = Bench(self._comparison, threads=0)
        counts = {}
        for number, arm in enumerate(self._comparison.arms):
            tell(f"counting instructions of {arm.strategy}", number, len(self._comparison.arms))
            counts[arm.strategy] = bench.instructions(arm.strategy, episode, device)
        return counts

    def _outcomes(self, tasks: Iterator[tuple[str, int, Episode]]) -> Iterator[tuple[str, int, Outcome]]:
        if self._jobs == 1:
            bench = Bench(self._comparison, threads=0)
            for name, number, episode in tasks:
                yield name, number, bench.run(name, episode, number)
            return
        # What registers a strategy from outside the package has to run in every process.
        modules = tuple(dict.fromkeys(STRATEGIES[arm.strategy].wish.__module__ for arm in self._comparison.arms))
        # Fresh processes: a fork would inherit TensorFlow's threads without what they hold.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._jobs, context, _begin, (self._comparison, modules)) as pool:
            running: dict[Future[Outcome], tuple[str, int]] = {}
            try:
                for name, number, episode in tasks:
                    # Episodes are large: no more of them wait than keep the processes busy.
                    while len(running) >= 2 * self._jobs:
                        yield from _finished(running)
                    running[pool.submit(_run, name, episode, number)] = name, number
                while running:
                    yield from _finished(running)
            except BrokenProcessPool:
                raise DeviceError(
                    "expected every process to finish, received the end of one: too little memory for --jobs?"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


def _finished(running: dict[Future[Outcome], tuple[str, int]]) -> Iterator[tuple[str, int, Outcome]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        name, number = running.pop(future)
        yield name, number, future.result()


_bench: Bench | None = None


def _begin(comparison: Comparison, modules: Sequence[str]) -> None:
    """In a process of the pool, which has run the main module by itself."""
    global _bench
    for module in modules:
        if module != "__main__":
            importlib.import_module(module)
    _bench = Bench(comparison, threads=1)


def _run(strategy: str, episode: Episode, number: int) -> Outcome:
    if _bench is None:
        raise DeviceError("expected a process that was begun, received another")
    return _bench.run(strategy, episode, number)
