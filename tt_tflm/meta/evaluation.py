# SPDX-License-Identifier: Apache-2.0
"""Does adapting pay? Strategies on the same episodes: accuracies, paired differences, and what each costs."""

from __future__ import annotations

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
from tt_tflm.boards.episode import InputScaling
from tt_tflm.build.converter import PRECISIONS, TrainableConverter
from tt_tflm.devices import get_profile
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.meta.arms import BACKENDS, LEARNING_RATES, STRATEGIES, Arm, Bench, Outcome, Recipe, prepare
from tt_tflm.meta.episodes import Rows, draw_episodes, load_episode_rows
from tt_tflm.meta.images import ImageSet, load_images
from tt_tflm.meta.statistics import mean_and_ci95
from tt_tflm.options import PrototypeLoss
from tt_tflm.plan.budget import Budget

if TYPE_CHECKING:
    import keras

    from tt_tflm.boards.episode import Episode
    from tt_tflm.plan.cost_table import CostTable

SCHEMA_VERSION = 1
DEFAULT_STRATEGIES = ("none", "last_layer", "full", "sparse_update", "tinytrain")
REPRESENTATIVE_IMAGES = 100
DEFAULT_BUDGET = Budget(training_memory="1MB", backward_macs=0.15)
_COSTS = ("training_memory_bytes", "ram_bytes", "backward_macs")
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

    accuracies: tuple[float, ...]
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
                **{cost: result.costs[cost] for cost in _COSTS},
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
    *,
    episodes: str | PathLike[str] | Sequence[Rows] | None = None,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    count: int = 100,
    strategies: Sequence[str] = DEFAULT_STRATEGIES,
    backend: str = "c",
    precision: str = "float32",
    budget: Budget = DEFAULT_BUDGET,
    iterations: int = 40,
    learning_rates: Mapping[str, float] | None = None,
    temperature: float = PrototypeLoss.temperature,
    flip: bool = False,
    paced: bool = True,
    seed: int = 0,
    jobs: int = 1,
    input_scaling: tuple[float, float] = InputScaling(),
    skip_corrupt: bool = False,
    instructions_on: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Adapts a model to episodes by several strategies and judges each by the query samples.

    Args:
        model: ends in an embedding; a ``.keras`` file or a model in memory.
        data: see ``tt_tflm.meta.images.load_images``.
        episodes: a file of episodes, or their rows; None to draw ``count`` of them by ``ways``, ``shots``, ``queries``
            and ``seed``.
        strategies: out of ``tt_tflm.meta.arms.STRATEGIES``.
        backend: ``c`` (the device code, compiled for this machine), ``tflm`` (TensorFlow Lite Micro's interpreter) or
            ``tf`` (TensorFlow).
        precision: ``float32``, or with backend ``c`` ``int8``: a forward pass of integers, whose ranges are taken from
            the support images of the first episodes, up to 100 of them.
        budget: of the strategies that choose.
        iterations: updates of an adaptation.
        learning_rates: strategy -> learning rate of Adam, in place of the defaults.
        temperature: of the cosines.
        flip: whether pseudo-queries may be mirrored.
        paced: whether the learning rate goes by the tightness of the support set (ops/include/tt_episode.h).
        seed: of drawn episodes, pseudo-queries, and of the strategy ``random``.
        jobs: processes that episodes are spread over.
        input_scaling: (scale, shift) of pixels, as the converter's.
        skip_corrupt: leave files out that cannot be decoded.
        instructions_on: an emulated core, such as ``cortex-m7``, or a device with one, on which the first episode's
            instructions are counted as well; backend ``c`` alone.
        progress: called with what is going on, how much is done and how much there is in all.

    Raises:
        InputError: an argument, the model or the data is not as described, or nothing fits the budget.
        DeviceError: training diverged.
        ToolchainError: there is no C compiler, for ``tflm`` no tflite-micro wheel, or no emulator to count with.

    Example:
        >>> result = tt_tflm.meta.evaluate("model.keras", "target.npz", count=20, strategies=("none", "tinytrain"))
        >>> result.paired()
    """
    _check(strategies, backend, precision, jobs, count)
    if instructions_on is not None:
        _check_counting(instructions_on, backend)
    tell = progress or (lambda _stage, _done, _total: None)
    rates = _rates(learning_rates)
    with tempfile.TemporaryDirectory(prefix="tt-tflm-evaluate-") as scratch:
        path = _as_file(model, Path(scratch))
        tell("loading the model", 0, 0)
        converter = TrainableConverter.from_keras_file(path)
        converter.input_scaling = tuple(input_scaling)
        converter.backend = "tflm" if backend == "tflm" else "c"
        scaling = InputScaling(*input_scaling)
        shape = converter.input_shape
        if len(shape) != 3:
            raise InputError(f"expected a model that takes images (H, W, C), received input {shape}")
        images = load_images(data, channels=shape[-1], skip_corrupt=skip_corrupt, progress=tell)
        rows = _episodes(episodes, images, ways, shots, queries, count, seed)
        converter.loss = PrototypeLoss(classes=max(entry.ways for entry in rows), temperature=temperature)
        loaded = rows[0].load(images, shape, scaling)
        converter.precision = precision
        if precision == "int8":
            converter.representative_data = images.images(_support_rows(rows), shape, scaling)
        builds = Path(scratch) / "builds"
        builds.mkdir()
        arms, table = prepare(converter, strategies, budget, rates, loaded, builds, lambda stage: tell(stage, 0, 0))
        recipe = Recipe(iterations, augment_for(scaling, flip), seed, temperature, paced)
        work = _Work(arms, table, budget, recipe, backend, str(path), jobs)
        # First, since it is soon over: what is missing for it shows before the long part.
        counts = {} if instructions_on is None else work.instructions(loaded, instructions_on, tell)
        outcomes = work.run((entry.load(images, shape, scaling) for entry in rows), len(rows), tell)
    name = Path(model).name if isinstance(model, (str, PathLike)) else model.name
    results = {strategy: _result(outcomes[strategy], counts.get(strategy, {})) for strategy in strategies}
    return Evaluation(name, _data_name(data), results)


def _check(strategies: Sequence[str], backend: str, precision: str, jobs: int, count: int) -> None:
    if not strategies:
        raise InputError(f"expected at least one strategy of {', '.join(STRATEGIES)}, received none")
    for strategy in strategies:
        if strategy not in STRATEGIES:
            raise InputError(f"expected strategies of {', '.join(STRATEGIES)}, received {strategy!r}")
    if len(set(strategies)) != len(strategies):
        raise InputError(f"expected every strategy once, received {', '.join(strategies)}")
    if backend not in BACKENDS:
        raise InputError(f"backend: expected one of {', '.join(BACKENDS)}, received {backend!r}")
    if precision not in PRECISIONS:
        raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, received {precision!r}")
    if precision == "int8" and backend != "c":
        raise InputError(f"precision int8: expected backend 'c', received {backend!r}")
    for name, value in (("jobs", jobs), ("count", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}: expected a whole number of at least 1, received {value!r}")


def _support_rows(episodes: Sequence[Rows]) -> list[int]:
    """Rows of support images, each once, those of the first episodes first."""
    rows = dict.fromkeys(row for episode in episodes for row in episode.flat("support")[0])
    return list(rows)[:REPRESENTATIVE_IMAGES]


def _check_counting(device: str, backend: str) -> None:
    if backend != "c":
        raise InputError(
            f"instructions_on: expected backend 'c', of which instructions are counted, received {backend!r}"
        )
    if get_profile(device).is_host:
        raise InputError(f"instructions_on: expected an emulated core, such as cortex-m7, received {device!r}")


def _rates(given: Mapping[str, float] | None) -> dict[str, float]:
    rates: dict[str, float] = {"none": 0.0, **LEARNING_RATES}
    for strategy, rate in (given or {}).items():
        if strategy not in LEARNING_RATES:
            raise InputError(
                f"learning rates: expected strategies of {', '.join(LEARNING_RATES)}, received {strategy!r}"
            )
        rates[strategy] = rate
    return rates


def _as_file(model: Any, folder: Path) -> Path:
    if isinstance(model, (str, PathLike)):
        return Path(model)
    path = folder / "model.keras"
    model.save(path)
    return path


def _episodes(
    episodes: Any, images: ImageSet, ways: int, shots: int, queries: int, count: int, seed: int
) -> list[Rows]:
    if episodes is None:
        return draw_episodes(images, count, ways, shots, queries, seed)
    if isinstance(episodes, (str, PathLike)):
        return load_episode_rows(episodes, images)
    if not episodes or not all(isinstance(entry, Rows) for entry in episodes):
        raise InputError("expected episodes as a file or a list of Rows, received another")
    return list(episodes)


def _data_name(data: Any) -> str:
    return Path(data).name if isinstance(data, (str, PathLike)) else getattr(data, "name", type(data).__name__)


def _result(outcomes: Sequence[Outcome], instructions: Mapping[str, int] | None) -> StrategyResult:
    costs = {name: max(outcome.costs[name] for outcome in outcomes) for name in _COSTS}
    return StrategyResult(tuple(outcome.accuracy for outcome in outcomes), costs, instructions)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


class _Work:
    """Every strategy on every episode, in this process or in several."""

    def __init__(
        self,
        arms: Sequence[Arm],
        table: CostTable | None,
        budget: Budget,
        recipe: Recipe,
        backend: str,
        model: str,
        jobs: int,
    ) -> None:
        self._arms = list(arms)
        self._jobs = jobs
        self._arguments = (self._arms, table, budget, recipe, backend, model)

    def run(self, episodes: Iterator[Episode], count: int, tell: Progress) -> dict[str, list[Outcome]]:
        """strategy -> outcome of each episode."""
        names = [arm.strategy for arm in self._arms]
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
        bench = Bench(*self._arguments, threads=0)
        counts = {}
        for number, arm in enumerate(self._arms):
            tell(f"counting instructions of {arm.strategy}", number, len(self._arms))
            counts[arm.strategy] = bench.instructions(arm.strategy, episode, device)
        return counts

    def _outcomes(self, tasks: Iterator[tuple[str, int, Episode]]) -> Iterator[tuple[str, int, Outcome]]:
        if self._jobs == 1:
            bench = Bench(*self._arguments, threads=0)
            for name, number, episode in tasks:
                yield name, number, bench.run(name, episode, number)
            return
        # Fresh processes: a fork would inherit TensorFlow's threads without what they hold.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._jobs, context, _begin, self._arguments) as pool:
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


def _begin(*arguments: Any) -> None:
    """In a process of the pool."""
    global _bench
    _bench = Bench(*arguments, threads=1)


def _run(strategy: str, episode: Episode, number: int) -> Outcome:
    if _bench is None:
        raise DeviceError("expected a process that was begun, received another")
    return _bench.run(strategy, episode, number)
