# SPDX-License-Identifier: Apache-2.0
"""Adapting a board to an episode, and what that brought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import InputError

if TYPE_CHECKING:
    from tt_tflm.episode import Episode
    from tt_tflm.simulate import Board

Progress = Callable[[str, int, int], None]
ORDER_SEED = 0  # of the order in which samples are presented: runs on different devices must see the same one


@dataclass(frozen=True)
class AdaptationResult:
    """What an adaptation did.

    Attributes:
        accuracy_before: share of the query samples classified right before training, 0 to 1.
        accuracy_after: likewise, after training.
        losses: mean loss over the support samples of each iteration, in nats, each taken before its update.
        instructions: exact instruction counts of the last `predict` and `train_step`; None where they are not counted
            or nothing was trained.
    """

    accuracy_before: float
    accuracy_after: float
    losses: tuple[float, ...]
    instructions: dict[str, int | None]


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


def adapt(
    board: Board,
    episode: Episode,
    iterations: int,
    progress: Progress | None = None,
    *,
    prototypes: bool,
) -> AdaptationResult:
    """Trains a board on the support samples of an episode and judges it by the query samples.

    An iteration shows every support sample once, in an order that is shuffled with a fixed seed. With a prototype loss
    the support is enrolled first, and anew after each iteration, since the embeddings have moved.

    Args:
        board: as converted, or after `board.reset()`.
        episode: fitted to the board's input.
        iterations: passes over the support samples, not below 0.
        progress: called with what is going on, the calls made so far and the calls to be made in all.
        prototypes: whether the build has a prototype loss; else the labels train its classifier.

    Raises:
        InputError: iterations is below 0, or the samples do not fit the build.
        DeviceError: the board failed, or training diverged.
    """
    if iterations < 0:
        raise InputError(f"expected iterations not below 0, received {iterations}")
    enrolments = len(episode.support_x) * (iterations + 1) if prototypes else 0
    calls = enrolments + len(episode.support_x) * iterations + 2 * len(episode.query_x)
    run = _Run(board, episode, progress or _no_progress, calls)
    if prototypes:
        run.enroll()
    before = run.accuracy("judging before training")
    draw = np.random.default_rng(ORDER_SEED)
    losses = []
    for iteration in range(iterations):
        losses.append(run.train(draw.permutation(len(episode.support_x)), f"iteration {iteration + 1}"))
        if prototypes:
            board.forget_prototypes()
            run.enroll()
    after = run.accuracy("judging after training")
    instructions = {name: board.instructions.get(name) for name in ("predict", "train_step")}
    return AdaptationResult(before, after, tuple(losses), instructions)


class _Run:
    """The calls of one adaptation, counted for the progress display."""

    def __init__(self, board: Board, episode: Episode, progress: Progress, calls: int) -> None:
        self._board = board
        self._episode = episode
        self._progress = progress
        self._calls = calls
        self._done = 0

    def enroll(self) -> None:
        for x, label in zip(self._episode.support_x, self._episode.support_y, strict=True):
            self._board.enroll(x, int(label))
            self._advance("enrolling")

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
