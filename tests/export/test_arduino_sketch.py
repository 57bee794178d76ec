# SPDX-License-Identifier: Apache-2.0
"""The sketches of the exported library on the host, under the sanitisers, driven from Python over a pseudo-terminal: a
whole adaptation, and what can go wrong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import serial
from oracle.fixed_nets import CLASSES, INPUT_SHAPE

from tt_tflm.boards.serial import Board
from tt_tflm.errors import DeviceError

from .arduino_builds import build
from .arduino_compiler import sketch_source
from .arduino_host import environment, host_program, plugged_in

SHOTS = 5  # as many as the sketch keeps: the device has room for five of each class
QUERIES = 12
ITERATIONS = 25  # the compilers round differently, and every iteration adds to it
SEED = 5
SUPPORT_Y, QUERY_Y = np.arange(CLASSES).repeat(SHOTS), np.arange(CLASSES).repeat(QUERIES)


def _images(draw: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """uint8: noisy copies of one image a class."""
    centres = np.random.default_rng(11).uniform(60, 195, (CLASSES, *INPUT_SHAPE))
    return np.clip(centres[labels] + draw.normal(0, 45, (len(labels), *INPUT_SHAPE)), 0, 255).astype(np.uint8)


_DRAW = np.random.default_rng(3)
SUPPORT_X, QUERY_X = _images(_DRAW, SUPPORT_Y), _images(_DRAW, QUERY_Y)


@pytest.fixture(scope="module")
def sketch(library, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sketch")
    return host_program(library, sketch_source(library, "Enroll_And_Adapt", folder), folder)


@pytest.fixture(scope="module")
def predict_sketch(library, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    return host_program(library, sketch_source(library, "Predict", folder), folder)


def _floats(images: np.ndarray) -> np.ndarray:
    """As the build scales pixels."""
    scale, shift = map(np.float32, build("dynamic").simulation["input_scaling"])
    return images * scale + shift


def _accuracy(scores: np.ndarray) -> float:
    return float(np.mean(np.argmax(scores, axis=1) == QUERY_Y))


def _enroll_all(board: Board) -> None:
    for x, label in zip(SUPPORT_X, SUPPORT_Y, strict=True):
        board.enroll(x, int(label))


def test_the_sketch_adapts_as_the_host_board_does_and_remembers(sketch, predict_sketch, tmp_path):
    with plugged_in(sketch, tmp_path) as port, Board(port) as board:
        assert board.status().capacity == len(SUPPORT_Y)
        assert board.status().fingerprint == build("dynamic").report_data["fingerprint"]
        _enroll_all(board)
        before = np.array([board.predict(x) for x in QUERY_X])
        losses = board.adapt(ITERATIONS, seed=SEED).losses
        after = np.array([board.predict(x) for x in QUERY_X])
        board.save()

    with build("dynamic").simulate() as simulated:
        for x, label in zip(_floats(SUPPORT_X), SUPPORT_Y, strict=True):
            simulated.enroll(x, int(label))
        expected_before = np.array([simulated.predict(x) for x in _floats(QUERY_X)])
        expected_losses = simulated.adapt(_floats(SUPPORT_X), SUPPORT_Y, ITERATIONS, seed=SEED).losses
        expected_after = np.array([simulated.predict(x) for x in _floats(QUERY_X)])
    np.testing.assert_allclose(before, expected_before, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after, expected_after, rtol=1e-5, atol=1e-5)
    assert np.abs(after - before).max() > 0.1, "the adaptation changed nothing"
    assert _accuracy(after) >= _accuracy(before) > 1 / CLASSES

    with plugged_in(sketch, tmp_path) as port, Board(port) as board:
        assert board.status().samples == 0
        np.testing.assert_array_equal([board.predict(x) for x in QUERY_X], after)  # loaded at the start
        board.reset()
        with pytest.raises(DeviceError, match="enrolled"):
            board.predict(QUERY_X[0])
        board.load()
        np.testing.assert_array_equal([board.predict(x) for x in QUERY_X], after)

    (tmp_path / "sensor").write_bytes(QUERY_X.tobytes())
    lines = _first_lines(predict_sketch, tmp_path, len(QUERY_Y))
    assert lines == [f"class {label}" for label in np.argmax(after, axis=1)], "what one sketch saves, the other loads"


def test_the_sketch_says_what_is_wrong_and_goes_on(sketch, tmp_path):
    with plugged_in(sketch, tmp_path) as port:
        with serial.Serial(port, timeout=30) as line:
            line.write(b"a" * 1000 + b"\n" + bytes(range(256)) * 3 + b"\nnonsense\n")
            answers = line.read_until(b"no such command")
            assert b"!error 100 " in answers and b"!error 103 " in answers
            assert b"the storage holds no complete state\r\n" in answers
            line.read_until(b"\n")
        with Board(port) as board:
            for call in (board.load, board.dump, board.adapt, lambda: board.predict(QUERY_X[0])):
                with pytest.raises(DeviceError):
                    call()
            _enroll_all(board)
            with pytest.raises(DeviceError, match="room"):
                board.enroll(SUPPORT_X[0], 0)
            assert board.status().samples == len(SUPPORT_Y)
            assert board.predict(QUERY_X[0]).shape == (CLASSES,)


def test_a_long_adaptation_shows_that_it_goes_on(sketch, tmp_path):
    with plugged_in(sketch, tmp_path) as port:
        with Board(port) as board:
            _enroll_all(board)
        with serial.Serial(port, timeout=60) as line:
            line.write(b"adapt 10\n")
            shown = line.read_until(b"!ok").decode()
    # Beside the lines of each iteration, which tell its loss.
    told = [int(done) for done in re.findall(r"^adapting (\d+)/10\r$", shown, re.MULTILINE)]
    assert len(told) > 3 and told == sorted(told)


def test_the_sketch_stays_responsive_while_it_learns(sketch, tmp_path):
    with plugged_in(sketch, tmp_path) as port:
        with Board(port) as board:
            _enroll_all(board)
        with serial.Serial(port, timeout=60) as line:
            line.write(b"adapt 100\n")
            line.read_until(b"adapting 1/100")
            line.write(b"status\ncancel\n")
            said = line.read_until(b"!error 112 ").decode()
            line.read_until(b"\n")
        assert " stage=adapting " in said and "adapting 90/100" not in said
        with Board(port) as board:
            assert board.predict(QUERY_X[0]).shape == (CLASSES,)


def test_a_classifier_trains_step_by_step(libraries, tmp_path):
    library = libraries("softmax")
    program = host_program(library, sketch_source(library, "Enroll_And_Adapt", tmp_path), tmp_path)
    with plugged_in(program, tmp_path) as port, Board(port) as board:
        _enroll_all(board)
        before = np.array([board.predict(x) for x in QUERY_X])
        losses = board.adapt(ITERATIONS).losses
        after = np.array([board.predict(x) for x in QUERY_X])
    with build("softmax").simulate() as simulated:
        expected = np.array([simulated.predict(x) for x in _floats(QUERY_X)])
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-5)
    assert losses[-1] < losses[0]
    assert _accuracy(after) >= _accuracy(before)


def _first_lines(program: Path, folder: Path, count: int) -> list[str]:
    process = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(folder)
    )
    assert process.stdout is not None and process.stdin is not None
    lines = [process.stdout.readline().strip() for _ in range(count)]
    process.stdin.close()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    return lines


def test_the_simple_sketch_says_what_it_lacks(predict_sketch, tmp_path):
    lines = _first_lines(predict_sketch, tmp_path, 3)
    assert lines == ["the storage holds no complete state", *["the class has no enrolled sample"] * 2]
