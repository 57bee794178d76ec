# SPDX-License-Identifier: Apache-2.0
"""`meta-train` and `evaluate` from the command line: what they leave, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from meta import small
from PIL import Image

SHORT = ("--ways", 3, "--shots", "1-2", "--queries", 2, "--episodes", 4, "--validate-every", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("files")
    small.backbone().save(folder / "backbone.keras")
    x, y = small.images()
    np.savez(folder / "data.npz", x=x, y=y)
    return folder / "backbone.keras", folder / "data.npz"


def check_refused(outcome: tuple[int, str, str], *parts: str) -> None:
    code, out, err = outcome
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("tt-tflm: error: ")
    for part in parts:
        assert part in err


def test_meta_training_writes_a_model_and_its_history(run, files: tuple[Path, Path], tmp_path: Path) -> None:
    backbone, data = files
    output, figures = tmp_path / "ready.keras", tmp_path / "figures.json"
    options = ("--fake-quantize", 0.5, "--json", figures, "--log", tmp_path / "log")
    code, out, err = run("meta-train", backbone, "--data", data, "-o", output, *SHORT, *options)
    assert (code, err) == (0, "")
    content = json.loads(figures.read_text())
    rows = [(row["episode"], row["fake_quantized"]) for row in content["history"]]
    assert rows == [(0, False), (2, True), (4, True)]
    assert "rounded to int8" in out
    assert (content["episodes"], content["stopped"], content["skipped"]) == (4, "episodes", [])
    assert f"{content['temperature']:.2f}" in out
    trained = keras.saving.load_model(output)
    assert trained.output_shape == (None, 12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "log", "ready.keras"]


def test_meta_training_from_a_folder_skips_what_cannot_be_decoded(
    run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for image, label in zip(*small.images(classes=6, each=6), strict=True):
        (folder / f"class {label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(
            folder / f"class {label}" / f"{len(list((folder / f'class {label}').iterdir()))}.png"
        )
    (folder / "class 0" / "bad.png").write_text("no image")
    arguments = ("meta-train", files[0], "--data", folder, "-o", tmp_path / "out.keras", *SHORT)
    check_refused(run(*arguments), "1 of 37 that cannot", "bad.png", "--skip-corrupt")
    assert not (tmp_path / "out.keras").exists()
    code, out, _ = run(*arguments, "--skip-corrupt", "--validation", 0)
    assert code == 0
    assert "left out" in out


def test_meta_training_that_finds_nothing_better_writes_no_model(run, files: tuple[Path, Path], tmp_path: Path) -> None:
    backbone, data = files
    output, figures = tmp_path / "ready.keras", tmp_path / "figures.json"
    still = ("--learning-rate", 1e-9, "--json", figures)
    code, _, err = run("meta-train", backbone, "--data", data, "-o", output, *SHORT, *still)
    assert (code, err.count("\n")) == (1, 1)
    assert "expected a validation better than that of backbone.keras" in err and "ready.keras was not written" in err
    assert list(tmp_path.iterdir()) == [figures]
    assert json.loads(figures.read_text())["best_episode"] == 0


def test_evaluation_writes_its_report_and_a_plot(run, files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    figures, plot = tmp_path / "figures.json", tmp_path / "plot.png"
    options = ("--ways", 3, "--shots", 2, "--queries", 4, "--count", 3, "--iterations", 2, "--backward-macs", 0.5)
    strategies = ("--strategies", "none,tinytrain", "--learning-rate", "tinytrain=0.01")
    code, out, err = run("evaluate", model, "--data", data, *options, *strategies, "--json", figures, "--plot", plot)
    assert (code, err) == (0, "")
    content = json.loads(figures.read_text())
    assert list(content["strategies"]) == ["none", "tinytrain"]
    assert content["data"] == "data.npz"
    assert f"{100 * content['strategies']['tinytrain']['accuracy_mean']:.1f}" in out
    assert f"{content['strategies']['tinytrain']['backward_macs']:,}" in out
    assert f"{100 * content['paired'][0]['mean']:+.1f}" in out
    assert plot.stat().st_size > 1000


def test_evaluation_of_given_episodes(run, files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    path = tmp_path / "episodes.json"
    path.write_text(json.dumps({"episodes": [{"support": [[0, 1], [20, 21]], "query": [[2], [22]]}]}))
    arguments = ("evaluate", model, "--data", data, "--episodes", path, "--strategies", "none")
    code, out, _ = run(*arguments, "--json", tmp_path / "figures.json")
    assert code == 0
    assert "1 episodes" in out
    assert len(json.loads((tmp_path / "figures.json").read_text())["strategies"]["none"]["accuracies"]) == 1
    check_refused(run(*arguments, "--count", 5), "expected --episodes or --count, received both")


def test_bad_usage_is_one_line(run, files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    train = ("meta-train", model, "--data", data)
    check_refused(run(*train, "-o", tmp_path / "out.h5"), "OUT.keras")
    check_refused(run(*train, "-o", tmp_path / "missing" / "out.keras"), "create")
    check_refused(run(*train, "-o", tmp_path / "out.keras", "--ways", "9-5"), "--ways", "'9-5'")
    check_refused(run(*train, "-o", tmp_path / "out.keras", "--ways", "9"), "at least 9 classes", "received 8")
    check_refused(run(*train, "-o", tmp_path / "out.keras", "--strategy", "multiworker"), "TF_CONFIG")
    check_refused(run(*train, "-o", tmp_path / "out.keras", "--fake-quantize", "2"), "--fake-quantize", "2")
    check_refused(run("meta-train", model, "-o", tmp_path / "out.keras"), "expected --data")
    check_refused(run("meta-train", data, "--data", data, "-o", tmp_path / "out.keras"), "data.npz")
    judge = ("evaluate", model, "--data", data)
    check_refused(run(*judge, "--shots", 10), "at least 25 images of every class (10 shots, 15 queries), received 20")
    check_refused(run(*judge, "--strategies", "none,best"), "'best'")
    check_refused(run(*judge, "--backend", "tvm"), "'tvm'")
    check_refused(run(*judge, "--precision", "int8", "--backend", "tf"), "precision int8: expected backend 'c'")
    check_refused(run(*judge, "--learning-rate", "fast"), "'fast'")
    check_refused(run(*judge, "--plot", tmp_path / "plot.txt"), ".png")
    check_refused(run("evaluate", model, "--data", tmp_path / "none.npz"), "none.npz")
    assert not list(tmp_path.iterdir())
