# SPDX-License-Identifier: Apache-2.0
"""The class TinyTrain on the host, under the sanitisers: the same scores and the same adaptation as the host board of
the same build, and a memory that outlives the program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from oracle.fixed_nets import CLASSES, small_inputs

from .arduino_builds import build
from .arduino_host import STORAGES, host_program, run_lines

SKETCH = Path(__file__).parent / "arduino_class.cpp"
ITERATIONS = 15
TOLERANCE = 2e-4  # the host board's kernels are compiled with -ffast-math -march=native


def _episode() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Noisy copies of one image a class, within the range that pseudo-queries are clamped to: support and query."""

    def noisy(images: np.ndarray) -> np.ndarray:
        return np.clip(images + 0.8 * draw.standard_normal(images.shape), -1, 1).astype(np.float32)

    draw = np.random.default_rng(7)
    centres = small_inputs(CLASSES, seed=5)
    labels = np.arange(CLASSES).repeat(4)
    query_labels = np.arange(CLASSES).repeat(12)
    return noisy(centres[labels]), labels, noisy(centres[query_labels]), query_labels


SUPPORT_X, SUPPORT_Y, QUERY_X, QUERY_Y = _episode()


def _line(command: str, x: np.ndarray) -> str:
    return f"{command} {' '.join(float(v).hex() for v in x.ravel())}"


def _numbers(lines: Sequence[str]) -> np.ndarray:
    return np.array([[float.fromhex(number) for number in line.split()] for line in lines], np.float32)


PREDICTIONS = [_line("predict", x) for x in QUERY_X]
ENROLMENTS = [_line(f"enroll {label}", x) for x, label in zip(SUPPORT_X, SUPPORT_Y, strict=True)]


@pytest.fixture(scope="module")
def program(library, tmp_path_factory):
    """Of a build that adapts."""
    return host_program(library, SKETCH, tmp_path_factory.mktemp("class"))


def _accuracy(scores: np.ndarray) -> float:
    return float(np.mean(np.argmax(scores, axis=1) == QUERY_Y))


def test_it_adapts_as_the_host_board_does_and_remembers(program, tmp_path):
    count = len(PREDICTIONS)
    lines = [
        "begin",
        *ENROLMENTS,
        *PREDICTIONS,
        f"adapt {ITERATIONS}",
        *PREDICTIONS,
        "save",
        _line("train 1", QUERY_X[0]),
    ]
    answers = run_lines(program, lines, tmp_path)
    first = 1 + len(ENROLMENTS)
    before, after = _numbers(answers[first : first + count]), _numbers(answers[first + count + 1 : -2])
    with build("dynamic").simulate() as board:
        for x, label in zip(SUPPORT_X, SUPPORT_Y, strict=True):
            board.enroll(x, int(label))
        expected_before = np.array([board.predict(x) for x in QUERY_X])
        done = board.adapt(SUPPORT_X, SUPPORT_Y, ITERATIONS)
        expected_after = np.array([board.predict(x) for x in QUERY_X])
        expected_loss = board.train_step(QUERY_X[0], 1)
    np.testing.assert_allclose(before, expected_before, rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(
        _numbers(answers[first + count : first + count + 1]), [[done.losses[-1]]], rtol=TOLERANCE
    )
    np.testing.assert_allclose(after, expected_after, rtol=10 * TOLERANCE, atol=10 * TOLERANCE)
    assert np.abs(after - before).max() > 0.1, "the adaptation changed nothing"
    assert _accuracy(after) >= _accuracy(before)
    assert answers[-2] == ""
    np.testing.assert_allclose(_numbers(answers[-1:]), [[expected_loss]], rtol=10 * TOLERANCE, atol=10 * TOLERANCE)
    again = run_lines(program, ["begin", "load", *PREDICTIONS, "reset", PREDICTIONS[0]], tmp_path)
    np.testing.assert_array_equal(_numbers(again[2 : 2 + count]), after)
    assert again[-1].startswith("error 7 "), "a reset forgets what was loaded"


def test_every_storage_keeps_what_it_says(library, tmp_path):
    for storage in STORAGES:
        folder = tmp_path / storage
        folder.mkdir()
        program = host_program(library, SKETCH, folder, storage)
        answers = run_lines(program, ["begin", "storage", "load", *ENROLMENTS, PREDICTIONS[0], "save"], folder)
        kept = storage != "RAM"
        assert answers[1] == f"{storage} {'kept' if kept else 'forgotten'} "
        assert answers[2].startswith("error 13 "), "nothing has been saved yet"
        assert answers[-1] == ""
        again = run_lines(program, ["begin", "load", PREDICTIONS[0]], folder)
        assert (again[1] == "") == kept
        assert (again[2] == answers[-2]) == kept


def test_slices_change_nothing_and_can_be_cancelled(program, tmp_path):
    def learned(command: str) -> list[str]:
        lines = ["begin", *ENROLMENTS, PREDICTIONS[0], command, *PREDICTIONS]
        return run_lines(program, lines, tmp_path)[len(ENROLMENTS) + 2 :]

    assert learned(f"sliced {ITERATIONS}") == learned(f"adapt {ITERATIONS}")
    # Two iterations, and prototypes by the rows that they have left.
    assert learned(f"cancelled {ITERATIONS}")[1:] == learned("adapt 2")[1:]


def test_wrong_calls_are_refused_with_a_reason(program, tmp_path):
    bad = np.full(SUPPORT_X[0].shape, np.nan)
    lines = [
        "save",
        "begin",
        "adapt 5",
        PREDICTIONS[0],
        _line("enroll 9", SUPPORT_X[0]),
        _line("enroll 0", bad),
        "adapt 1000",
    ]
    answers = run_lines(program, lines, tmp_path)
    statuses = [int(line.split()[1]) if line.startswith("error ") else 0 for line in answers]
    assert statuses == [8, 0, 9, 7, 5, 6, 9]
    assert all(len(line.split()) > 3 for line in answers if line), "a status comes with its text"
