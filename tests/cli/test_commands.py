# SPDX-License-Identifier: Apache-2.0
"""The commands on a small model: figures shown and written, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from tt_tflm import load_build
from tt_tflm.boards.adaptation import INSTRUCTIONS
from tt_tflm.emit.text import c_float

REPORT_KEYS = {
    "schema_version",
    "model",
    "fingerprint",
    "target",
    "precision",
    "mode",
    "loss",
    "optimizer",
    "arena_bytes",
    "arena_lower_bound_bytes",
    "row_pool_bytes",
    "ram_bytes",
    "flash_bytes",
    "forward_macs",
    "backward_macs",
    "backward_macs_full",
    "updated_parameters",
    "layers",
}
ADAPTATION_KEYS = {"device", "plan", "accuracy_before", "accuracy_after", "losses", "instructions", "stack_bytes"}


@pytest.fixture
def prototype_build(run, embedding_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "prototype"
    outcome = run("convert", embedding_model, "-o", folder, "--loss", "prototype", "--classes", 3, "--train", "second")
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def softmax_build(run, classifier_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "softmax"
    outcome = run("convert", classifier_model, "-o", folder, "--learning-rate", 0.1)
    assert outcome.code == 0, outcome.err
    return folder


def test_summary(run, classifier_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    outcome = run("summary", classifier_model, "--json", path)
    assert (outcome.code, outcome.err) == (0, "")
    layers = json.loads(path.read_text())["layers"]
    assert [layer["name"] for layer in layers] == ["first", "second", "logits"]
    assert [layer["parameters"] for layer in layers] == [4 * 9 + 4, 6 * 4 + 6, 3 * 6 + 3]
    assert [layer["forward_macs"] for layer in layers] == [16 * 4 * 9, 16 * 6 * 4, 3 * 6]
    for layer in layers:
        assert layer["name"] in outcome.out
        assert f"{layer['backward_macs']:,}" in outcome.out
        assert f"{layer['training_bytes']:,} B" in outcome.out


def test_convert_writes_the_report_it_shows(run, classifier_model: Path, tmp_path: Path) -> None:
    folder, path = tmp_path / "out", tmp_path / "report.json"
    trained = ["--train", "second:5,0", "--train", "logits"]
    outcome = run("convert", classifier_model, "-o", folder, *trained, "--json", path)
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(path.read_text())
    assert report == json.loads((folder / "report.json").read_text())
    assert REPORT_KEYS <= report.keys()
    assert {layer["name"]: layer["channels_trained"] for layer in report["layers"]} == {
        "first": 0,
        "second": 2,
        "logits": 3,
    }
    for figure in ("ram_bytes", "arena_bytes", "row_pool_bytes", "forward_macs", "backward_macs", "updated_parameters"):
        assert f"{report[figure]:,}" in outcome.out
    assert "2 of 6" in outcome.out


def test_convert_from_a_plan(run, embedding_model: Path, prototype_build: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    plan = prototype_build / "plan.json"
    options = ["--loss", "prototype", "--classes", 3]
    assert run("convert", embedding_model, "-o", folder, "--plan", plan, *options).code == 0
    reports = [json.loads((path / "report.json").read_text()) for path in (prototype_build, folder)]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("options", "loss", "optimizer", "rate"),
    [
        (["--loss", "prototype", "--optimizer", "adam", "--weights", "binary"], "prototype", "adam", 0.001),
        (["--loss", "softmax", "--optimizer", "momentum", "--learning-rate", 0.5], "softmax", "momentum", 0.5),
    ],
)
def test_convert_options(run, embedding_model: Path, tmp_path: Path, options, loss, optimizer, rate) -> None:
    folder = tmp_path / "out"
    assert run("convert", embedding_model, "-o", folder, "--target", "cortex-m4", *options).code == 0
    report = load_build(folder).report
    assert (report["loss"], report["optimizer"], report["target"]) == (loss, optimizer, "cortex-m4")
    assert c_float(rate) in (folder / "src" / "tt_model.c").read_text()
    assert (folder / "src" / "tt_model_weights.bin").exists() == ("binary" in options)


def test_convert_to_int8(run, embedding_model: Path, episode: Path, tmp_path: Path) -> None:
    folder, path = tmp_path / "out", tmp_path / "result.json"
    options = ["--loss", "prototype", "--classes", 3, "--mode", "dynamic", "--optimizer", "adam"]
    convert = ["convert", embedding_model, "-o", folder, "--precision", "int8"]
    run(*convert).check_refused("expected --precision int8 and --representative together, received --precision int8 a")
    run(*convert, "--representative", tmp_path / "none.npz").check_refused(
        "expected an .npz file for samples", "none.npz"
    )
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, y=np.zeros(3))
    run(*convert, "--representative", wrong).check_refused("expected an array x or support_x, received y")
    assert not folder.exists()
    outcome = run(*convert, *options, "--representative", episode)
    assert (outcome.code, outcome.err) == (0, "")
    assert "int8" in outcome.out
    assert load_build(folder).report_data["precision"] == "int8"
    outcome = run("simulate", folder, "--episode", episode, "--iterations", 3, "--json", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(path.read_text())["accuracy_after"] >= 0.5


def test_convert_into_a_folder_in_use(run, classifier_model: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    run("convert", classifier_model, "-o", tmp_path).check_refused(
        "expected an output folder that is empty or does not exist"
    )
    run("convert", classifier_model, "-o", note).check_refused(
        "expected an output folder that is empty or does not exist"
    )
    assert list(tmp_path.iterdir()) == [note]


@pytest.mark.parametrize(
    ("train", "parts"),
    [("third", ["'third'"]), ("second:6", ["'second'", "6"])],
)
def test_convert_with_a_plan_that_does_not_fit(run, classifier_model: Path, tmp_path: Path, train, parts) -> None:
    run("convert", classifier_model, "-o", tmp_path / "out", "--train", train).check_refused("expected", *parts)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["summary"], ["convert", "-o", "out"]])
def test_models_that_cannot_be_read(run, tmp_path: Path, monkeypatch, classifier_model: Path, command) -> None:
    monkeypatch.chdir(tmp_path)
    run(*command, "none.keras").check_refused("none.keras")
    half = tmp_path / "half.keras"
    half.write_bytes(classifier_model.read_bytes()[:-2000])
    run(*command, half).check_refused("half.keras")
    assert list(tmp_path.iterdir()) == [half]


def check_adaptation(outcome, path: Path, build: Path, device: str, iterations: int) -> dict:
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads(path.read_text())
    assert content.keys() == json.loads((build / "report.json").read_text()).keys() | ADAPTATION_KEYS
    assert content["device"] == device
    assert len(content["losses"]) == iterations
    for figure in ("accuracy_before", "accuracy_after"):
        assert f"{content[figure]:.1%}" in outcome.out
    return content


def test_simulate_prototypes(run, prototype_build: Path, episode: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    outcome = run("simulate", prototype_build, "--episode", episode, "--iterations", 4, "--json", path)
    content = check_adaptation(outcome, path, prototype_build, "host", 4)
    assert content["losses"][-1] < content["losses"][0]
    assert content["instructions"] == dict.fromkeys(INSTRUCTIONS)
    assert content["plan"] == json.loads((prototype_build / "plan.json").read_text())


def test_simulate_a_classifier(run, softmax_build: Path, episode: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    outcome = run("simulate", softmax_build, "--episode", episode, "--iterations", 30, "--json", path)
    content = check_adaptation(outcome, path, softmax_build, "host", 30)
    assert content["losses"][-1] < content["losses"][0]
    assert content["accuracy_after"] > content["accuracy_before"]


@pytest.mark.qemu
def test_simulate_in_qemu(run, prototype_build: Path, episode: Path, tmp_path: Path) -> None:
    contents = {}
    for device in ("host", "cortex-m4"):
        path = tmp_path / f"{device}.json"
        options = ["--device", device, "--iterations", 3, "--json", path]
        outcome = run("simulate", prototype_build, "--episode", episode, *options)
        contents[device] = check_adaptation(outcome, path, prototype_build, device, 3)
    counts = contents["cortex-m4"]["instructions"]
    assert counts["train_step"] > counts["predict"] > contents["host"]["forward_macs"]
    assert f"{counts['train_step']:,}" in outcome.out
    np.testing.assert_allclose(contents["cortex-m4"]["losses"], contents["host"]["losses"], rtol=1e-4)


def test_simulate_something_that_is_no_build(run, episode: Path, tmp_path: Path) -> None:
    run("simulate", tmp_path, "--episode", episode).check_refused("expected a folder")


def test_simulate_episodes_that_do_not_fit(run, prototype_build: Path, episode: Path, tmp_path: Path) -> None:
    run("simulate", prototype_build, "--episode", tmp_path / "none.npz").check_refused("none.npz")
    arrays = dict(np.load(episode))
    path = tmp_path / "wrong.npz"
    np.savez(path, **{**arrays, "support_x": arrays["support_x"].repeat(4, axis=-1)})
    run("simulate", prototype_build, "--episode", path).check_refused("support_x", "channel")
    np.savez(path, **{**arrays, "support_y": np.arange(9)})
    run("simulate", prototype_build, "--episode", path).check_refused("at most 3 classes", "received 9")


def test_tools_that_are_missing(run, prototype_build: Path, episode: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run("simulate", prototype_build, "--episode", episode, "--device", "cortex-m7")
    outcome.check_refused("arm-none-eabi", code=1)
