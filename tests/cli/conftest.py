# SPDX-License-Identifier: Apache-2.0
"""A small model, an episode that fits it, and the command line as a function."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.cli.main import main

SHAPE = (8, 8, 1)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left."""

    code: int
    out: str
    err: str

    def check_refused(self, *parts: str, code: int = 2) -> None:
        """One line on stderr that holds these parts, nothing on stdout."""
        assert self.code == code
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert self.err.startswith("tt-tflm: error: ")
        for part in parts:
            assert part in self.err


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run_main(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(int(caught.value.code), captured.out, captured.err)

    return run_main


def _convolutions() -> list:
    from keras import layers

    return [
        layers.Input(SHAPE),
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first"),
        layers.Conv2D(6, 1, name="second"),
        layers.GlobalAveragePooling2D(),
    ]


@pytest.fixture(scope="session")
def embedding_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone of 6 embedding elements."""
    import keras

    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("models") / "embedding.keras"
    keras.Sequential(_convolutions()).save(path)
    return path


@pytest.fixture(scope="session")
def classifier_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of 3 classes."""
    import keras

    keras.utils.set_random_seed(2)
    path = tmp_path_factory.mktemp("models") / "classifier.keras"
    model = keras.Sequential([*_convolutions(), keras.layers.Dense(3, name="logits")])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(path)
    return path


@pytest.fixture
def episode(tmp_path: Path) -> Path:
    """Three classes: bright to the left, to the right, and below; easy to learn."""
    draw = np.random.default_rng(0)

    def images(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = draw.integers(0, 60, (3 * count, *SHAPE))
        x[:count, :, :4] += 150
        x[count : 2 * count, :, 4:] += 150
        x[2 * count :, 4:, :] += 150
        return x.astype(np.uint8), np.repeat(np.arange(3), count)

    support, query = images(3), images(4)
    path = tmp_path / "episode.npz"
    np.savez(path, support_x=support[0], support_y=support[1], query_x=query[0], query_y=query[1])
    return path
