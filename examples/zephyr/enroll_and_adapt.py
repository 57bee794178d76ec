# SPDX-License-Identifier: Apache-2.0
"""A task for the sample: three kinds of stripes, enrolled, adapted to, predicted, saved, and predicted again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from small_model import CLASSES, INPUT_SHAPE

from tt_tflm import Board

SHOTS = 3
QUERIES = 4
ITERATIONS = 10


def samples(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 16, 16, 1) and labels: stripes along x, along y and across, with noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:16, 0:16]
    labels = np.tile(np.arange(CLASSES), per_class)
    pictures = []
    for label in labels:
        along = (rows, columns, rows + columns)[label]
        wave = np.sin(along * generator.uniform(0.9, 1.3) + generator.uniform(0, 2 * np.pi))
        pictures.append(np.clip(128 + 80 * wave + generator.normal(0, 25, wave.shape), 0, 255))
    return np.stack(pictures).astype(np.uint8).reshape(-1, *INPUT_SHAPE), labels


def learn_and_save(board: Board) -> np.ndarray:
    """Has the board learn the task and save it; gives the scores of the queries, (N, classes)."""
    board.reset()
    x, labels = samples(SHOTS, seed=0)
    for sample, label in zip(x, labels, strict=True):
        board.enroll(sample, int(label))
    before = query(board)
    losses = board.adapt(ITERATIONS, progress=lambda stage, done, total: print(f"{stage}: {done} of {total}")).losses
    after = query(board)
    print(f"accuracy {accuracy(before):.1%} before, {accuracy(after):.1%} after {ITERATIONS} iterations")
    print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}; saved {len(board.save()):,} B")
    return after


def query(board: Board) -> np.ndarray:
    """Scores of the queries."""
    return np.stack([board.predict(x) for x in samples(QUERIES, seed=1)[0]])


def accuracy(scores: np.ndarray) -> float:
    """Share of the queries whose class has the largest score."""
    return float((scores.argmax(axis=1) == samples(QUERIES, seed=1)[1]).mean())


def check_reboot(board: Board, reboot: Callable[[], Board]) -> None:
    """The whole of it: learn, save, reboot, and the same scores to the last bit.

    Raises:
        RuntimeError: the board has not been rebooted, or gives other scores.
    """
    saved = learn_and_save(board)
    board = reboot()
    if board.status().samples != 0:
        raise RuntimeError("expected a board without samples after a reboot, received one that still holds them")
    again = query(board)
    if not np.array_equal(saved, again):
        raise RuntimeError(f"expected the scores of before the reboot, received others: {np.abs(saved - again).max()}")
    print(f"the same {saved.size} scores after the reboot")
