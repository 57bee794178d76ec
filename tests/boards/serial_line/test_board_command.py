# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm board`: a whole episode on a board at a serial line, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tt_tflm
from tt_tflm.cli.main import main


@pytest.fixture(scope="module")
def episode(support, tmp_path_factory):
    images, labels = support
    path = tmp_path_factory.mktemp("episode") / "episode.npz"
    # Twice as large as the model's input: the command resizes it.
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    np.savez(path, support_x=large, support_y=labels, query_x=large[::2], query_y=labels[::2])
    return path


@pytest.fixture(scope="module")
def port(builds, tmp_path_factory):
    with builds("dynamic").console("host", tmp_path_factory.mktemp("board")) as process:
        yield process.port


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_a_board_learns_an_episode(port, episode, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert run("board", port, "--episode", episode, "--iterations", 5, "--save", "--json", figures) == 0
    shown = capsys.readouterr().out
    for words in ("accuracy before", "accuracy after", "loss, first to last iteration", "saved"):
        assert words in shown
    content = json.loads(figures.read_text())
    assert len(content["losses"]) == 5 and content["accuracy_after"] > 0.5 and content["port"] == port
    with tt_tflm.Board(port) as board:
        assert content["fingerprint"] == board.status().fingerprint
        assert content["state_bytes"] == len(board.dump())


def test_what_does_not_fit_the_board_is_refused(port, episode, builds, support, tmp_path, capsys):
    def error(*arguments) -> str:
        assert run("board", *arguments) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    images, labels = support
    floats = tmp_path / "floats.npz"
    x = (images / 127.5 - 1).astype(np.float32)
    np.savez(floats, support_x=x, support_y=labels, query_x=x, query_y=labels)
    assert "expected uint8, as the board keeps pixels, received float32" in error(port, "--episode", floats)
    scaled = error(port, "--episode", episode, "--input-scaling", "none")
    assert "expected --input-scaling model for a board that keeps pixels and scales them itself" in scaled
    assert "No such file" in error(port, "--episode", tmp_path / "none.npz")
    with builds("dynamic").console("host", tmp_path, capacity=4) as process:
        assert "at most 4 support samples" in error(process.port, "--episode", episode)
    assert run("board", tmp_path / "nowhere", "--episode", episode) == 1
    assert "a serial port that can be opened" in capsys.readouterr().err
