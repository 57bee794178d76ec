# SPDX-License-Identifier: Apache-2.0
"""The sketches of the exported library on the host, under the sanitisers: a whole adaptation by the letters a person
types, with a sensor that plays an episode."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from oracle.fixed_nets import CLASSES, INPUT_SHAPE

from .arduino_builds import build
from .arduino_compiler import sketch_source
from .arduino_host import environment, host_program, run_lines

SHOTS = 5  # as many as the sketch keeps: the device has room for five of each class
QUERIES = 12
ITERATIONS = 40


def _images(draw: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """uint8: noisy copies of one image a class."""
    centres = np.random.default_rng(11).uniform(60, 195, (CLASSES, *INPUT_SHAPE))
    return np.clip(centres[labels] + draw.normal(0, 45, (len(labels), *INPUT_SHAPE)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def sketch(library, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sketch")
    return host_program(library, sketch_source(library, "Enroll_And_Adapt", folder), folder)


def _scores(lines: list[str]) -> np.ndarray:
    return np.array([line.split()[2:] for line in lines if line.startswith("class ")], np.float32)


def test_the_sketch_adapts_as_the_host_board_does_and_remembers(sketch, tmp_path):
    draw = np.random.default_rng(3)
    support_y, query_y = np.arange(CLASSES).repeat(SHOTS), np.arange(CLASSES).repeat(QUERIES)
    support_x, query_x = _images(draw, support_y), _images(draw, query_y)
    seen = [support_x, query_x, query_x]
    (tmp_path / "sensor").write_bytes(b"".join(images.tobytes() for images in seen))
    predictions = "p" * len(query_y)
    letters = "".join(map(str, support_y)) + predictions + "a" + predictions + "s" + "0"
    lines = run_lines(sketch, [letters], tmp_path)
    assert lines[0] == "TinyTrain keeps what it learns in internal flash"
    assert lines[1].startswith("error 13 ")
    assert lines[2 : 2 + len(support_y)] == ["ok"] * len(support_y)
    assert lines[-2:] == ["ok", "error 9 no room for another sample"]
    scores = _scores(lines)
    before, after = scores[: len(query_y)], scores[len(query_y) :]

    scale, shift = build("dynamic").simulation["input_scaling"]
    floats = [(images * np.float32(scale) + np.float32(shift)).astype(np.float32) for images in (support_x, query_x)]
    with build("dynamic").simulate() as board:
        done = board.adapt(floats[0], support_y, ITERATIONS)
        expected = np.array([board.predict(x) for x in floats[1]])
    loss = next(float(line.split()[1]) for line in lines if line.startswith("loss "))
    np.testing.assert_allclose(loss, done.losses[-1], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(after, expected, rtol=2e-3, atol=2e-3)
    accuracies = [float(np.mean(np.argmax(s, axis=1) == query_y)) for s in (before, after)]
    assert np.abs(after - before).max() > 0.1, "the adaptation changed nothing"
    assert accuracies[1] >= accuracies[0] > 1 / CLASSES

    (tmp_path / "sensor").write_bytes(query_x.tobytes())
    again = run_lines(sketch, [predictions + "r" + "p"], tmp_path)
    assert again[1] == "ok", "what was saved is loaded at the start"
    np.testing.assert_array_equal(_scores(again), after)
    assert again[-1].startswith("error 7 ")


def test_the_sketch_says_what_is_wrong_and_goes_on(sketch, tmp_path):
    answers = run_lines(sketch, ["apl?9", "0"], tmp_path)[2:]
    assert [line.split()[:2] for line in answers] == [["error", "9"], ["error", "7"], ["error", "13"], ["error", "9"], ["error", "5"], ["ok"]]


def test_the_simple_sketch_predicts(library, tmp_path):
    program = host_program(library, sketch_source(library, "Predict", tmp_path), tmp_path)
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(tmp_path))
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(3)]
    process.stdin.close()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert lines == ["the storage holds no complete state", *["the class has no enrolled sample"] * 2]
