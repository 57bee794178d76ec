# SPDX-License-Identifier: Apache-2.0
"""What would be reinterpreted in silence, from the command line: one line, exit status 2, nothing written."""

from pathlib import Path

import keras
import numpy as np

L = keras.layers


def test_objectives(run, embedding_model: Path, tmp_path: Path) -> None:
    regressor, tagger = tmp_path / "regressor.keras", tmp_path / "tagger.keras"
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    model.compile("sgd", "mse")
    model.save(regressor)
    keras.Sequential([keras.Input((4,)), L.Dense(3, activation="sigmoid")]).save(tagger)
    before = sorted(tmp_path.iterdir())
    for path, options, parts in (
        (regressor, (), ("received mean_squared_error", "--loss prototype")),
        (regressor, ("--loss", "softmax"), ("received mean_squared_error",)),
        (tagger, ("--loss", "softmax"), ("received a sigmoid",)),
        (embedding_model, (), ("expected a loss for a linear output", "--loss softmax", "--loss prototype")),
    ):
        run("convert", path, "-o", tmp_path / "out", *options).check_refused(*parts)
    assert sorted(tmp_path.iterdir()) == before
    assert run("summary", embedding_model).code == 0


def test_scales(run, embedding_model: Path, episode: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    options = ("--loss", "prototype", "--classes", 3, "--mode", "dynamic", "--optimizer", "adam")
    run("convert", embedding_model, "-o", folder, "--input-scaling", "1").check_refused("two numbers SCALE,SHIFT")
    assert run("convert", embedding_model, "-o", folder, *options).code == 0
    with np.load(episode) as content:
        arrays = dict(content)
    for scale, shift, part in (
        (1, 0, "images from -1 to 1"),
        (1 / 255, 0, "images from -1 to 1"),
        (0.1, -12, "clamped"),
    ):
        for name in ("support_x", "query_x"):
            with np.load(episode) as content:
                arrays[name] = (content[name] * scale + shift).astype(np.float32)
        np.savez(tmp_path / "floats.npz", **arrays)
        run("simulate", folder, "--episode", tmp_path / "floats.npz").check_refused("expected", part, "--input-scaling")
    assert run("simulate", folder, "--episode", episode, "--iterations", 1).code == 0
