# SPDX-License-Identifier: Apache-2.0
"""The command line with builds of the backend tflm."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tt_tflm.boards.simulated import tflm_wheel

PROTOTYPES = ["--loss", "prototype", "--classes", 3]
MODES = {
    "static": ["--train", "second"],
    "dynamic": ["--mode", "dynamic", "--optimizer", "adam"],
}


def convert(run, model: Path, folder: Path, *options: object) -> Path:
    outcome = run("convert", model, "-o", folder, *options)
    assert (outcome.code, outcome.err) == (0, "")
    return folder


@pytest.fixture
def build(run, embedding_model: Path, tmp_path: Path) -> Path:
    return convert(run, embedding_model, tmp_path / "build", "--backend", "tflm", *PROTOTYPES, *MODES["static"])


def test_convert_writes_models_and_their_ops(build: Path) -> None:
    report = json.loads((build / "report.json").read_text())
    assert report["backend"] == "tflm"
    assert report["tflm_arena_bytes"] > report["arena_bytes"] > 0
    names = {str(path.relative_to(build)) for path in build.rglob("*") if path.is_file()}
    assert {
        "train.tflite",
        "plan.json",
        "sim/infer.tflite",
        "tflm/tt_register_ops.cc",
        "include/tt_model.h",
    } <= names
    assert "fisher.tflite" not in names
    assert not [name for name in names if Path(name).name.startswith(("tt_model_weights", "tt_model_kernels"))]


@pytest.mark.parametrize("mode", MODES)
def test_simulate_adapts_as_the_c_build(run, embedding_model: Path, episode: Path, tmp_path: Path, mode: str) -> None:
    contents = {}
    for backend, device in (("c", "host"), ("tflm", "tflm")):
        folder = tmp_path / backend
        convert(run, embedding_model, folder, "--backend", backend, *PROTOTYPES, *MODES[mode])
        path = tmp_path / f"{backend}.json"
        outcome = run("simulate", folder, "--episode", episode, "--iterations", 3, "--json", path)
        assert (outcome.code, outcome.err) == (0, "")
        contents[backend] = json.loads(path.read_text())
        assert contents[backend]["device"] == device
        assert f"{contents[backend]['accuracy_after']:.1%}" in outcome.out
    c, tflm = contents["c"], contents["tflm"]
    assert len(c["losses"]) == 3
    np.testing.assert_allclose(tflm["losses"], c["losses"], rtol=1e-4)
    assert tflm["plan"] == c["plan"]
    assert [tflm[name] for name in ("accuracy_before", "accuracy_after")] == [c["accuracy_before"], c["accuracy_after"]]


def test_what_is_refused(run, build: Path, episode: Path, classifier_model: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    convert_it = ("convert", classifier_model, "-o", tmp_path / "out")
    run(*convert_it, "--backend", "tf").check_refused("--backend", "expected c or tflm", "'tf'")
    run(*convert_it, "--backend", "tflm", "--weights", "c").check_refused(
        "weights: expected 'auto' with backend 'tflm'"
    )
    simulate = ("simulate", build, "--episode", episode)
    run(*simulate, "--device", "host").check_refused("expected device 'tflm'", "received 'host'")
    run(*simulate, "--device", "cortex-m7").check_refused("expected device 'tflm'", "received 'cortex-m7'")
    run(*simulate, "--gradient", "exact").check_refused("--gradient", "a build that adapts by itself")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_layer_without_an_op_is_named_and_nothing_is_written(run, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    layers = [
        keras.Input((6, 6, 2)),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="wide"),
        keras.layers.Flatten(),
    ]
    keras.Sequential(layers).save(path)
    outcome = run("convert", path, "-o", tmp_path / "out", "--backend", "tflm", "--train", "wide", *PROTOTYPES)
    outcome.check_refused("layer 'wide': expected depth_multiplier 1", "received 2")
    assert list(tmp_path.iterdir()) == [path]


def test_another_wheel_is_refused(run, build: Path, episode: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_wheel, "WHEEL_VERSION", "0.dev1")
    monkeypatch.setattr(tflm_wheel, "_loaded", tflm_wheel._loaded.__wrapped__)
    run("simulate", build, "--episode", episode).check_refused("expected tflite-micro 0.dev1", "pip install", code=1)
