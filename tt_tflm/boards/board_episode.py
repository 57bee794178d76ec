# SPDX-License-Identifier: Apache-2.0
"""An episode on a board at a serial line: what of it the board takes, and what learning it brought."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from tt_tflm.boards.adaptation import Progress, check_classes
from tt_tflm.boards.episode import Episode, load_episode
from tt_tflm.boards.input_range import InputRange, check_clamped
from tt_tflm.boards.serial import Board, BoardStatus
from tt_tflm.boards.serial.board import adapt_words
from tt_tflm.errors import InputError
from tt_tflm.files.npz_arrays import open_arrays

_AS_PIXELS = (1.0, 0.0)


@dataclass(frozen=True)
class EpisodeResult:
    """What learning an episode brought.

    Attributes:
        accuracy_before, accuracy_after: share of the query samples classified right, 0 to 1; before is None where the
            build has nothing to tell classes by before it has learned (softmax).
        losses: of every iteration.
        state_bytes: of the saved state; None where it was not saved.
    """

    accuracy_before: float | None
    accuracy_after: float
    losses: tuple[float, ...] = field(repr=False)
    state_bytes: int | None


def load_for(about: BoardStatus, path: str | PathLike[str]) -> Episode:
    """An episode as the board takes it: uint8 where it keeps pixels, else float32 scaled as its build says.

    Raises:
        InputError: the file is no episode, has more classes or support samples than the board takes, floats for a
            board that keeps pixels, or floats that augmentation would cut off.
    """
    episode = load_episode(path, about.input_shape, _AS_PIXELS if about.pixels else about.input_scaling)
    check_classes(episode, about.classes)
    if len(episode.support_x) > about.capacity:
        raise InputError(
            f"expected at most {about.capacity} support samples, as the board has room for, received "
            f"{len(episode.support_x)}"
        )
    if about.pixels:
        return _pixels_of(episode, path)
    if about.adaptable:
        check_clamped("episode array support_x", episode.support_x, InputRange.of(about.input_scaling))
    return episode


def _pixels_of(episode: Episode, path: str | PathLike[str]) -> Episode:
    with open_arrays(path, "episode") as file:
        kinds = {name: file.header(name).dtype for name in ("support_x", "query_x")}
    for name, kind in kinds.items():
        if kind != np.uint8:
            raise InputError(f"episode array {name}: expected uint8, as the board keeps pixels, received {kind}")
    # Resized images lie between whole values.
    whole = {name: np.rint(getattr(episode, name)).astype(np.uint8) for name in kinds}
    return dataclasses.replace(episode, **whole)


def judge(
    board: Board,
    episode: Episode,
    iterations: int,
    progress: Progress,
    *,
    gradient: str = "exact",
    flip: bool = False,
    seed: int = 0,
    save: bool = False,
) -> EpisodeResult:
    """Has a board forget what it knew, learn the support samples and classify the query samples, before and after.

    Args:
        board: open.
        episode: as `load_for` gives it.
        iterations, gradient, flip, seed: see `Board.adapt`.
        progress: called with what goes on, what is done of it and what is to be done.
        save: whether the board saves what it has learned.

    Raises:
        InputError: an argument is not as `Board.adapt` wants it; the board has forgotten nothing then.
        DeviceError: the board failed.
    """
    adapt_words(board.status(), iterations, gradient=gradient, flip=flip, seed=seed)
    board.reset()
    for i, (x, label) in enumerate(zip(episode.support_x, episode.support_y, strict=True)):
        progress("enrolling", i, len(episode.support_x))
        board.enroll(x, int(label))
    prototypes = board.status().loss == "prototype"
    before = _accuracy(board, episode, "judging before training", progress) if prototypes else None
    done = board.adapt(iterations, gradient=gradient, flip=flip, seed=seed, progress=progress)
    after = _accuracy(board, episode, "judging after training", progress)
    state_bytes = len(board.save()) if save else None
    return EpisodeResult(before, after, done.losses, state_bytes)


def _accuracy(board: Board, episode: Episode, stage: str, progress: Progress) -> float:
    right = 0
    for i, (x, label) in enumerate(zip(episode.query_x, episode.query_y, strict=True)):
        progress(stage, i, len(episode.query_x))
        right += int(np.argmax(board.predict(x)) == label)
    return right / len(episode.query_x)
