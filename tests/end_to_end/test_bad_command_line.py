# SPDX-License-Identifier: Apache-2.0
"""Bad input on the command line: exit code 2, one line, nothing written. TensorFlow's chatter is not shown."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from oracle.boards import convert
from oracle.fixed_nets import CLASSES, small_classifier, small_embedding, small_inputs
from oracle.reference import SGD, PrototypeLoss

from tt_tflm.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def check_refusal(self, *words: str) -> None:
        """Exit code 2 and a single line on stderr that holds every one of `words`."""
        lines = self.err.strip().splitlines()
        assert self.code == 2, self
        assert self.out.strip() == "", self
        assert len(lines) == 1, self
        assert all(word in lines[0] for word in words), self


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `tt-tflm` with the given arguments in this process, where TensorFlow is loaded already."""

    # A line is what the user sees, whatever the width of his terminal is.
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tt-tflm", *map(str, arguments)])
        capfd.readouterr()
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return Outcome(int(code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.keras"
    model = small_classifier()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(path)
    return path


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("build") / "out"
    convert(small_embedding(), PrototypeLoss(CLASSES), SGD(0.01), {"embedding": "all"}).save(path)
    return path


@pytest.fixture
def plan(cli: Cli, model_file: Path, tmp_path: Path) -> dict:
    """A plan that fits the model, as the command line writes it."""
    outcome = cli("convert", model_file, "-o", tmp_path / "fitting", "--train", "conv:0,2", "--train", "logits")
    assert outcome.code == 0, outcome
    return json.loads((tmp_path / "fitting" / "plan.json").read_text())


def refuse_conversion(cli: Cli, tmp_path: Path, model: Path, *options: object, words: tuple[str, ...]) -> None:
    cli("convert", model, "-o", tmp_path / "out", *options).check_refusal(*words)
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--train", "nope"], ["nope"]),
        (["--train", "conv:4"], ["conv", "4"]),
        (["--train", "conv:one"], ["conv", "one"]),
        (["--train", "conv:"], ["conv"]),
        (["--train", "pool"], ["pool"]),
        (["--train", "conv", "--plan", "plan.json"], ["--plan", "--train"]),
        (["--plan", "nowhere.json"], ["nowhere.json"]),
        (["--target", "cortex-x9"], ["cortex-x9"]),
        (["--loss", "hinge"], ["hinge"]),
        (["--optimizer", "lion"], ["lion"]),
        (["--learning-rate", "nan"], ["nan"]),
        (["--learning-rate", "fast"], ["fast"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_convert_options(cli: Cli, model_file: Path, tmp_path: Path, options: list[str], words: list[str]) -> None:
    refuse_conversion(cli, tmp_path, model_file, *options, words=tuple(words))


@pytest.mark.parametrize(
    ("layers", "words"),
    [({}, ["expected"]), ({"nope": "all"}, ["nope"]), ({"conv": [99]}, ["conv", "99"]), ({"conv": []}, ["conv"])],
    ids=str,
)
def test_plan_file(cli: Cli, model_file: Path, tmp_path: Path, plan: dict, layers: dict, words: list[str]) -> None:
    assert "layers" in plan
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan | {"layers": layers}))
    refuse_conversion(cli, tmp_path, model_file, "--plan", path, words=tuple(words))


def test_plan_file_of_another_model(cli: Cli, tmp_path: Path, plan: dict) -> None:
    path, other = tmp_path / "plan.json", tmp_path / "other.keras"
    path.write_text(json.dumps(plan))
    model = small_classifier()
    model.get_layer("logits").bias.assign([1.0, 2.0, 3.0])
    model.save(other)
    refuse_conversion(cli, tmp_path, other, "--plan", path, words=("model",))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layers": 3}', '"plan"'])
def test_plan_file_that_is_no_plan(cli: Cli, model_file: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    refuse_conversion(cli, tmp_path, model_file, "--plan", path, words=("plan.json",))


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_truncated_model(cli: Cli, model_file: Path, tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.keras"
    whole = model_file.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    refuse_conversion(cli, tmp_path, path, words=("cut.keras",))
    cli("summary", path).check_refusal("cut.keras")


def test_model_that_is_missing_or_of_another_format(cli: Cli, tmp_path: Path) -> None:
    refuse_conversion(cli, tmp_path, tmp_path / "nowhere.keras", words=("nowhere.keras",))
    path = tmp_path / "text.keras"
    path.write_text("no model")
    refuse_conversion(cli, tmp_path, path, words=("text.keras",))


def test_model_with_a_lambda_layer(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "code.keras"
    layers = [keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2, name="twice"), keras.layers.Dense(2)]
    keras.Sequential(layers).save(path)
    refuse_conversion(cli, tmp_path, path, words=("twice", "Lambda"))


def test_model_with_a_layer_that_is_not_supported(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "masked.keras"
    layers = [keras.layers.Masking(name="mask"), keras.layers.LSTM(2)]
    keras.Sequential([keras.Input((5, 3)), *layers]).save(path)
    refuse_conversion(cli, tmp_path, path, words=("mask", "Masking"))
    cli("summary", path).check_refusal("mask", "Masking")


def test_model_with_nan(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "nan.keras"
    model = small_classifier()
    model.get_layer("conv").kernel.assign(np.full((3, 3, 2, 4), np.nan))
    model.save(path)
    refuse_conversion(cli, tmp_path, path, words=("conv", "NaN"))


def test_output_folder_that_is_not_empty(cli: Cli, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    cli("convert", model_file, "-o", out).check_refusal("out", "empty")
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def good_episode() -> dict[str, np.ndarray]:
    labels = np.arange(2 * CLASSES) % CLASSES
    return {
        "support_x": small_inputs(len(labels)),
        "support_y": labels,
        "query_x": small_inputs(len(labels), seed=9),
        "query_y": labels,
    }


def bad_episode(fault: str) -> dict[str, np.ndarray]:
    episode = good_episode()
    if fault == "shape":
        episode["support_x"] = episode["support_x"][:, :-1]
    elif fault == "channels":
        episode["query_x"] = np.zeros((6, 6, 5, 3), np.uint8)
    elif fault == "axes":
        episode["support_x"] = episode["support_x"][0]
    elif fault == "dtype":
        episode["support_x"] = episode["support_x"].astype(np.complex64)
    elif fault == "label":
        episode["support_y"] = np.arange(6) % (CLASSES + 1)
    elif fault == "negative label":
        episode["query_y"] = np.full(6, -1)
    elif fault == "label dtype":
        episode["support_y"] = episode["support_y"].astype(np.float32)
    elif fault == "nan":
        episode["query_x"][1, 2, 3, 0] = np.nan
    elif fault == "count":
        episode["support_y"] = episode["support_y"][:-1]
    elif fault == "empty":
        episode["support_x"], episode["support_y"] = episode["support_x"][:0], episode["support_y"][:0]
    elif fault == "missing":
        del episode["query_y"]
    elif fault == "pickle":
        episode["support_y"] = np.array([{}] * 6, dtype=object)
    return episode


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("shape", ["support_x", "(5, 5, 2)"]),
        ("channels", ["query_x", "3"]),
        ("axes", ["support_x"]),
        ("dtype", ["support_x", "complex64"]),
        ("label", [str(CLASSES), str(CLASSES + 1)]),
        ("negative label", ["query_y", "-1"]),
        ("label dtype", ["support_y", "float32"]),
        ("nan", ["query_x"]),
        ("count", ["support_y", "5", "6"]),
        ("empty", ["support_"]),
        ("missing", ["query_y"]),
        ("pickle", ["support_y"]),
    ],
)
def test_episode(cli: Cli, build_folder: Path, tmp_path: Path, fault: str, words: list[str]) -> None:
    path = tmp_path / "episode.npz"
    np.savez(path, **bad_episode(fault))
    result = tmp_path / "result.json"
    cli("simulate", build_folder, "--episode", path, "--json", result).check_refusal(*words)
    assert not result.exists()


def test_episode_file_that_is_cut_or_missing(cli: Cli, build_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    np.savez(path, **good_episode())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    cli("simulate", build_folder, "--episode", path).check_refusal("episode.npz")
    cli("simulate", build_folder, "--episode", tmp_path / "nowhere.npz").check_refusal("nowhere.npz")


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--iterations", "-1"], "-1"), (["--iterations", "many"], "many"), (["--device", "cortex-x9"], "cortex-x9")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_simulate_options(cli: Cli, build_folder: Path, tmp_path: Path, options: list[str], word: str) -> None:
    np.savez(tmp_path / "episode.npz", **good_episode())
    cli("simulate", build_folder, "--episode", tmp_path / "episode.npz", *options).check_refusal(word)


def test_folder_without_a_build(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "episode.npz", **good_episode())
    cli("simulate", tmp_path, "--episode", tmp_path / "episode.npz").check_refusal(tmp_path.name)


def run_in_a_fresh_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    # The settings that silence TensorFlow in tests are not a user's.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    command = [
        sys.executable,
        "-c",
        "import sys; from tt_tflm.cli.main import main; sys.exit(main())",
        *map(str, arguments),
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_fresh_process_shows_one_line_and_no_chatter(model_file: Path, build_folder: Path, tmp_path: Path) -> None:
    bad = run_in_a_fresh_process("convert", model_file, "-o", tmp_path / "bad", "--train", "nope")
    Outcome(bad.returncode, bad.stdout, bad.stderr).check_refusal("nope")
    assert not (tmp_path / "bad").exists()

    good = run_in_a_fresh_process("convert", model_file, "-o", tmp_path / "good", "--train", "logits")
    assert good.returncode == 0, good.stderr
    np.savez(tmp_path / "episode.npz", **good_episode())
    simulated = run_in_a_fresh_process("simulate", build_folder, "--episode", tmp_path / "episode.npz")
    assert simulated.returncode == 0, simulated.stderr
    for shown in (good.stdout, good.stderr, simulated.stdout, simulated.stderr):
        for chatter in ("tensorflow", "absl", "oneDNN", "cuda", "Saved artifact", "W0000", "I0000", "Warning"):
            assert chatter.lower() not in shown.lower()
