# SPDX-License-Identifier: Apache-2.0
"""Adapting a board to an episode, and what that brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.boards.input_range import InputRange, check_image_scale, check_support, warn_of_outliers
from tt_tflm.boards.simulated.task import DEFAULT_AUGMENT, Augment
from tt_tflm.errors import InputError

if TYPE_CHECKING:
    from tt_tflm.boards.episode import Episode
    from tt_tflm.boards.simulated import AdaptiveBoard
    from tt_tflm.plan import UpdatePlan

Progress = Callable[[str, int, int], None]
INSTRUCTIONS = ("fisher", "select", "adapt", "predict", "train_step")
ORDER_SEED = 0  # of the order in which samples are presented: runs on different devices must see the same one


@dataclass(frozen=True)
class AdaptationResult:
    """What an adaptation did.

    Attributes:
        accuracy_before: share of the query samples classified right before training, 0 to 1.
        accuracy_after: likewise, after training.
        losses: mean loss of each iteration over its samples, in nats, each taken before its update.
        instructions: exact instruction counts: ``fisher`` (inspecting the whole support), ``select``, ``adapt`` (a
            whole adaptation by the build itself), and the last ``predict`` and ``train_step``; None where they are not
            counted or not performed.
        plan: what the board chose; None in a build with a fixed plan.
        stack_bytes: the most of the stack that each call took, by its name; empty where it is not measured (host).
    """

    accuracy_before: float
    accuracy_after: float
    losses: tuple[float, ...] = field(repr=False)
    instructions: dict[str, int | None]
    plan: UpdatePlan | None = None
    stack_bytes: Mapping[str, int] = field(default_factory=dict)


def check_classes(episode: Episode, classes: int) -> None:
    """Refuses an episode of more classes than a build knows.

    Raises:
        InputError: it has more.
    """
    if episode.classes > classes:
        raise InputError(
            f"expected an episode of at most {classes} classes, as the build was made for, received {episode.classes}: "
            "convert the model for more classes"
        )


def augment_for(input_scaling: tuple[float, float], flip: bool) -> Augment:
    """How pseudo-queries are made of images whose pixels of 0 to 255 are scaled that way.

    Args:
        input_scaling: (scale, shift), as in simulation.json.
        flip: whether left and right may be swapped.
    """
    low, high = InputRange.of(input_scaling)
    return Augment(flip=flip, low=low, high=high)


def adapt(
    board: AdaptiveBoard,
    episode: Episode,
    iterations: int,
    progress: Progress | None = None,
    *,
    prototypes: bool,
    chooses: bool = False,
) -> AdaptationResult:
    """Trains a board on the support samples of an episode, step by step, and judges it by the query samples.

    An iteration shows every support sample once, in an order that is shuffled with a fixed seed. With a prototype loss
    the support is enrolled first, and anew after each iteration, since the embeddings have moved. A build that chooses
    its plan on the board inspects the support before that and selects.

    Args:
        board: as converted, or after `board.reset()`.
        episode: fitted to the board's input.
        iterations: passes over the support samples, not below 0.
        progress: called with what is going on, the calls made so far and the calls to be made in all.
        prototypes: whether the build has a prototype loss; else the labels train its classifier.
        chooses: whether the build chooses its plan on the board.

    Raises:
        InputError: iterations is below 0, or the samples do not fit the build.
        DeviceError: the board failed, nothing fits the budget, or training diverged.
    """
    if iterations < 0:
        raise InputError(f"expected iterations not below 0, received {iterations}")
    check_image_scale("support", episode.support_x, board.input_range)
    _warn(board, episode)
    enrolments = len(episode.support_x) * (iterations + 1) if prototypes else 0
    calls = enrolments + len(episode.support_x) * (iterations + chooses) + 2 * len(episode.query_x)
    run = _Run(board, episode, progress or _no_progress, calls)
    if prototypes:
        run.enroll()
    before = run.accuracy("judging before training")
    fisher = run.inspect() if chooses else 0
    plan = board.select() if chooses else None
    draw = np.random.default_rng(ORDER_SEED)
    losses = []
    for iteration in range(iterations):
        losses.append(run.train(draw.permutation(len(episode.support_x)), f"iteration {iteration + 1}"))
        if prototypes:
            board.forget_prototypes()
            run.enroll()
    after = run.accuracy("judging after training")
    counted = {**board.instructions, "fisher": fisher}
    return AdaptationResult(before, after, tuple(losses), _instructions(counted), plan, _stack_bytes(board))


def adapt_on_board(
    board: AdaptiveBoard,
    episode: Episode,
    iterations: int,
    progress: Progress | None = None,
    *,
    gradient: str = "exact",
    augment: Augment = DEFAULT_AUGMENT,
    seed: int = 0,
) -> AdaptationResult:
    """Has a board adapt itself to the support samples of an episode and judges it by the query samples.

    Args:
        board: with an adaptable build, as converted or after `board.reset()`.
        episode: fitted to the board's input.
        iterations: updates, 0 or more.
        progress: as for `adapt`.
        gradient, augment, seed: see `Board.adapt`.

    Raises:
        InputError: an argument is not as described, or the build cannot adapt.
        DeviceError: the board failed, nothing fits the budget, or training diverged.
    """
    check_support("support", episode.support_x, (augment.low, augment.high))
    _warn(board, episode)
    run = _Run(board, episode, progress or _no_progress, len(episode.support_x) + 2 * len(episode.query_x))
    run.enroll()
    before = run.accuracy("judging before training")
    run.announce("adapting")
    done = board.adapt(episode.support_x, episode.support_y, iterations, gradient=gradient, augment=augment, seed=seed)
    after = run.accuracy("judging after training")
    counted = {"predict": board.instructions.get("predict"), **(done.instructions or {})}
    return AdaptationResult(before, after, done.losses, _instructions(counted), done.plan, _stack_bytes(board))


def _warn(board: AdaptiveBoard, episode: Episode) -> None:
    samples = [part for part in (episode.support_x, episode.query_x) if len(part)]
    ends = np.stack([end(part, axis=0) for part in samples for end in (np.min, np.max)])
    warn_of_outliers("episode", ends, board.input_range, board.calibrated)


def _instructions(counted: Mapping[str, int | None]) -> dict[str, int | None]:
    # What was not performed is counted as 0 by a sum.
    return {name: counted.get(name) or None for name in INSTRUCTIONS}


def _stack_bytes(board: AdaptiveBoard) -> dict[str, int]:
    if board.stack_bytes:
        board.save()  # for its stack
    return {name: size for name, size in board.stack_bytes.items() if name != "describe"}


class _Run:
    """The calls of one adaptation, counted for the progress display."""

    def __init__(self, board: AdaptiveBoard, episode: Episode, progress: Progress, calls: int) -> None:
        self._board = board
        self._episode = episode
        self._progress = progress
        self._calls = calls
        self._done = 0

    def enroll(self) -> None:
        for x, label in zip(self._episode.support_x, self._episode.support_y, strict=True):
            self._board.enroll(x, int(label))
            self._advance("enrolling")

    def inspect(self) -> int:
        """Instructions of all of it, 0 where they are not counted."""
        counted = 0
        for x, label in zip(self._episode.support_x, self._episode.support_y, strict=True):
            self._board.fisher_accumulate(x, int(label))
            counted += self._board.instructions.get("fisher_accumulate", 0)
            self._advance("inspecting")
        return counted

    def announce(self, stage: str) -> None:
        """Shows a stage whose end is not known."""
        self._progress(stage, self._done, self._calls)

    def train(self, order: np.ndarray, stage: str) -> float:
        losses = []
        for index in order:
            losses.append(self._board.train_step(self._episode.support_x[index], int(self._episode.support_y[index])))
            self._advance(stage)
        return float(np.mean(losses))

    def accuracy(self, stage: str) -> float:
        right = 0
        for x, label in zip(self._episode.query_x, self._episode.query_y, strict=True):
            right += int(np.argmax(self._board.predict(x)) == label)
            self._advance(stage)
        return right / len(self._episode.query_x)

    def _advance(self, stage: str) -> None:
        self._done += 1
        self._progress(stage, self._done, self._calls)


def _no_progress(_stage: str, _done: int, _total: int) -> None:
    pass
