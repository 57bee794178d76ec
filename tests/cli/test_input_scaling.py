# SPDX-License-Identifier: Apache-2.0
"""uint8 on its way into a model, from the command line: scaled as is said, once, and never in silence."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tt_tflm.cli.main import cli

L = keras.layers


def test_every_command_that_reads_samples_takes_a_scaling() -> None:
    options = {name: {p.name for p in command.params} for name, command in cli.commands.items()}
    reading = {name for name, own in options.items() if own & {"episode_path", "data_path", "representative_path"}}
    assert reading >= {"convert", "plan", "simulate", "evaluate", "meta-train", "board"}
    assert reading == {name for name, own in options.items() if "input_scaling" in own}


@pytest.fixture(scope="module")
def rescaling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells bright from dark, of pixels from 0 to 255."""
    layers = [keras.Input((8, 8, 1)), L.Rescaling(1 / 255), L.GlobalAveragePooling2D(), L.Dense(2, name="logits")]
    model = keras.Sequential([*layers, L.Softmax()])
    model.get_layer("logits").set_weights([np.array([[-40.0, 40.0]]), np.array([20.0, -20.0])])
    path = tmp_path_factory.mktemp("models") / "rescaling.keras"
    model.save(path)
    return path


def save(folder: Path, dtype: str) -> Path:
    labels = np.arange(8) % 2
    x = np.random.default_rng(0).integers(0, 100, (8, 8, 8, 1)) + 130 * labels[:, None, None, None]
    path = folder / f"{dtype}.npz"
    np.savez(path, support_x=x.astype(dtype), support_y=labels, query_x=x.astype(dtype), query_y=labels)
    return path


def test_a_model_that_rescales_is_given_the_same_pixels_in_any_type(run, rescaling_model: Path, tmp_path: Path) -> None:
    assert "uint8 as it is" in run("summary", rescaling_model).out
    folder, figures = tmp_path / "out", tmp_path / "figures.json"
    assert run("convert", rescaling_model, "-o", folder).code == 0
    results = []
    for dtype, told in (("uint8", 0), ("float32", 0), ("int64", 1)):
        episode = save(tmp_path, dtype)
        outcome = run("simulate", folder, "--episode", episode, "--iterations", 1, "--json", figures)
        assert outcome.code == 0 and outcome.err.count("\n") == told
        if told:
            assert outcome.err.startswith(f"tt-tflm: warning: episode {episode}: expected uint8 or float32, received ")
            assert f"received {dtype}: cast to float32" in outcome.err
        content = json.loads(figures.read_text())
        results.append((content["accuracy_before"], content["losses"]))
    assert results[0][0] == 1 and results.count(results[0]) == len(results)


def test_a_build_keeps_to_its_range_whatever_scaling_is_said(run, classifier_model, episode, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert run("convert", classifier_model, "-o", folder).code == 0
    simulate = ("simulate", folder, "--episode", episode, "--iterations", 0)
    option = "--input-scaling"
    run(*simulate, option, "none").check_refused("expected images from -1 to 1", f"convert with {option}")
    run(*simulate, option, "non").check_refused(f"{option}: expected two numbers", "did you mean 'none'")
    said = [run(*simulate, *words) for words in ((), (option, f"{1 / 127.5},-1"))]
    assert [outcome.code for outcome in said] == [0, 0]
    assert said[0].out == said[1].out
