# SPDX-License-Identifier: Apache-2.0
"""An episode on a board at a serial line: what of it the board takes, and what learning it brought."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from tt_tflm.boards.adaptation import Progress, check_classes
from tt_tflm.boards.episode import Episode, load_episode
from tt_tflm.boards.input_range import AS_THEY_ARE, InputRange, check_clamped, warn_of_outliers
from tt_tflm.boards.serial import Board, BoardStatus
from tt_tflm.boards.serial.board import adapt_words
from tt_tflm.errors import InputError
from tt_tflm.files.npz_arrays import open_arrays

_SAMPLES = ("support_x", "query_x")


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


def load_for(
    about: BoardStatus, path: str | PathLike[str], input_scaling: tuple[float, float] | None = None
) -> Episode:
    """An episode as the board takes it: uint8 where it keeps pixels, else float32.

    Args:
        about: the board.
        path: of the episode.
        input_scaling: (scale, shift) of uint8; None for that of the board's build.

    Raises:
        InputError: the file is no episode, has more classes or support samples than the board takes, floats or another
            scaling for a board that keeps pixels and scales them itself, or floats that augmentation would cut off.
    """
    bounds = InputRange.of(about.input_scaling)
    if about.pixels:
        _check_pixels(about, path, input_scaling)
        episode = load_episode(path, about.input_shape, AS_THEY_ARE)
    else:
        episode = load_episode(path, about.input_shape, input_scaling or about.input_scaling, bounds)
    check_classes(episode, about.classes)
    if len(episode.support_x) > about.capacity:
        raise InputError(
            f"expected at most {about.capacity} support samples, as the board has room for, received "
            f"{len(episode.support_x)}"
        )
    if about.pixels:
        # Resized images lie between whole values.
        whole = {name: np.rint(getattr(episode, name)).astype(np.uint8) for name in _SAMPLES}
        return dataclasses.replace(episode, **whole)
    if about.adaptable:
        check_clamped("episode array support_x", episode.support_x, bounds)
    else:
        warn_of_outliers("episode array support_x", episode.support_x, bounds)
    return episode


def _check_pixels(about: BoardStatus, path: str | PathLike[str], input_scaling: tuple[float, float] | None) -> None:
    """Refuses what a board that keeps pixels, and scales them itself, cannot take."""
    if input_scaling is not None and not np.allclose(input_scaling, about.input_scaling):
        scale, shift = about.input_scaling
        raise InputError(
            f"expected --input-scaling model for a board that keeps pixels and scales them itself, by {scale:g},"
            f"{shift:g}, received {input_scaling[0]:g},{input_scaling[1]:g}: convert its build with that"
        )
    with open_arrays(path, "episode") as file:
        kinds = {name: file.header(name).dtype for name in _SAMPLES if name in file.names}
    for name, kind in kinds.items():
        if kind != np.uint8:
            raise InputError(f"episode array {name}: expected uint8, as the board keeps pixels, received {kind}")


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
