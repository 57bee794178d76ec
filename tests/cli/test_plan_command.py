# SPDX-License-Identifier: Apache-2.0
"""`plan`, dynamic builds and builds that adapt by themselves: figures that agree, budgets kept, bad input refused."""

import json
from pathlib import Path

import numpy as np
import pytest

SPENT = ("training_memory_bytes", "ram_bytes", "backward_macs", "updated_parameters")
PROTOTYPES = ("--loss", "prototype", "--classes", 3)
ADAM = ("--optimizer", "adam", "--learning-rate", 0.01)


@pytest.fixture
def dynamic_build(run, embedding_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "dynamic"
    options = [*PROTOTYPES, *ADAM, "--mode", "dynamic", "--training-memory", "2KB", "--backward-macs", 0.8]
    outcome = run("convert", embedding_model, "-o", folder, *options)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.mark.parametrize("strategy", ["tinytrain", "last_layer", "bias_only"])
def test_a_build_spends_what_its_plan_says(
    run, embedding_model: Path, episode: Path, tmp_path: Path, strategy: str
) -> None:
    plan_path, folder, figures = tmp_path / "plan.json", tmp_path / "out", tmp_path / "figures.json"
    budget = ["--training-memory", "1.5KB", "--ram", "4KB", "--backward-macs", 0.9]
    options = [*PROTOTYPES, "--strategy", strategy, *budget, "--json", figures]
    outcome = run("plan", embedding_model, "--episode", episode, *options, "-o", plan_path)
    assert (outcome.code, outcome.err) == (0, "")
    plan = json.loads(plan_path.read_text())
    assert json.loads(figures.read_text())["plan"] == plan
    assert (plan["schema_version"], plan["strategy"]) == (1, strategy)
    assert plan["budget"]["training_memory_bytes"] == 1536
    assert all(plan["spent"][name] <= limit for name, limit in plan["budget"].items())
    for name in (*SPENT, "second"):
        assert (f"{plan['spent'][name]:,}" if name in SPENT else name) in outcome.out
    assert run("convert", embedding_model, "-o", folder, "--plan", plan_path, *PROTOTYPES).code == 0
    report = json.loads((folder / "report.json").read_text())
    assert {name: report[name] for name in SPENT} == plan["spent"]
    assert plan["fingerprint"] == report["fingerprint"]
    assert json.loads((folder / "plan.json").read_text()) == plan


def test_a_plan_is_the_same_on_every_run(run, classifier_model: Path, episode: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        assert run("plan", classifier_model, "--episode", episode, "--training-memory", "1KB", "-o", path).code == 0
    assert paths[0].read_text() == paths[1].read_text()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--training-memory", "0"),
        ("--training-memory", "-5"),
        ("--training-memory", "lots"),
        ("--training-memory", ""),
        ("--ram", "0KB"),
        ("--ram", "-1KB"),
        ("--ram", "nan"),
        ("--backward-macs", "0"),
        ("--backward-macs", "-0.5"),
        ("--backward-macs", "1.5"),
        ("--backward-macs", "inf"),
    ],
)
@pytest.mark.parametrize("command", [["plan", "--episode", "e.npz"], ["convert", "--mode", "dynamic"]])
def test_budgets_that_are_none(run, tmp_path: Path, monkeypatch, command, option: str, value: str) -> None:
    monkeypatch.chdir(tmp_path)
    run(*command, "m.keras", "-o", "out", option, value).check_refused(option, "above 0", f"received {value!r}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--training-memory", "10", ["training memory 10 bytes", "the least of any plan is training memory"]),
        ("--ram", "100", ["least", "received", "100"]),
        ("--backward-macs", "1", ["backward MACs 1", "the least of any plan is backward MACs"]),
        ("--backward-macs", "0.00001", ["at least one"]),
    ],
)
@pytest.mark.parametrize("command", ["plan", "convert"])
def test_budgets_that_nothing_fits(
    run, embedding_model: Path, episode: Path, tmp_path: Path, command, option, value, words
) -> None:
    before = set(tmp_path.iterdir())
    more = ["--episode", episode] if command == "plan" else ["--mode", "dynamic"]
    outcome = run(command, embedding_model, *more, *PROTOTYPES, option, value, "-o", tmp_path / "out")
    outcome.check_refused("expected", *words)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["--training-memory", "--ram", "--backward-macs"])
def test_the_least_budget_that_is_told_fits(run, embedding_model: Path, episode: Path, tmp_path: Path, option) -> None:
    command = ["plan", embedding_model, "--episode", episode, *PROTOTYPES, "-o", tmp_path / "plan.json", option]
    refused = run(*command, 1)
    refused.check_refused("the least of any plan is")
    least = next(word for word in reversed(refused.err.replace(";", " ").split()) if word.isdigit())
    assert run(*command, int(least) - 1).code == 2
    assert run(*command, least).code == 0


def spoilt(episode: Path, fault: str) -> dict[str, np.ndarray]:
    arrays = dict(np.load(episode))
    if fault == "one class":
        arrays["support_y"][:] = 0
        arrays["query_y"][:] = 0
    elif fault == "no labels":
        del arrays["support_y"]
    elif fault == "shape":
        arrays["support_x"] = arrays["support_x"].repeat(4, axis=-1)
    elif fault == "objects":
        arrays["support_x"] = np.array([None] * 9, dtype=object)
    elif fault == "classes":
        arrays["support_y"] = np.arange(9)
    return arrays


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("one class", ["support_y", "at least two classes"]),
        ("no labels", ["support_y"]),
        ("shape", ["support_x", "channel"]),
        ("objects", ["support_x", "object array"]),
        ("classes", ["at most 3 classes", "received 9"]),
    ],
)
def test_episodes_that_do_not_fit(run, embedding_model: Path, episode: Path, tmp_path: Path, fault, words) -> None:
    path, plan = tmp_path / "spoilt.npz", tmp_path / "plan.json"
    np.savez(path, **spoilt(episode, fault))
    run("plan", embedding_model, "--episode", path, *PROTOTYPES, "-o", plan).check_refused("expected", *words)
    assert not plan.exists()


def test_the_plan_of_another_model(run, embedding_model: Path, classifier_model: Path, episode: Path, tmp_path) -> None:
    plan, folder = tmp_path / "plan.json", tmp_path / "out"
    assert run("plan", embedding_model, "--episode", episode, *PROTOTYPES, "-o", plan).code == 0
    run("convert", classifier_model, "--plan", plan, "-o", folder).check_refused("plan.json", "made for this model")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["plan", "m.keras", "-o", "p"], ["expected --episode"]),
        (["plan", "m.keras", "--episode", "e.npz"], ["expected --output"]),
        (["plan", "m.keras", "--episode", "e.npz", "-o", "no/p.json"], ["existing folder"]),
        (["plan", "m.keras", "--episode", "e.npz", "-o", "p", "--json", "./p"], ["two files"]),
        (["plan", "m.keras", "--episode", "e.npz", "-o", "p", "--strategy", "none"], ["--strategy", "'none'"]),
        (["convert", "m.keras", "-o", "o", "--ram", "9KB"], ["--ram with --mode dynamic", "tt-tflm plan"]),
        (["convert", "m.keras", "-o", "o", "--tail", "2"], ["--tail with --mode dynamic"]),
        (["convert", "m.keras", "-o", "o", "--tail", "0"], ["at least 1"]),
        (["convert", "m.keras", "-o", "o", "--mode", "dynamic", "--train", "a"], ["no --train"]),
        (["convert", "m.keras", "-o", "o", "--mode", "dynamic", "--plan", "p"], ["no --plan"]),
        (["convert", "m.keras", "-o", "o", "--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["simulate", "o", "--episode", "e.npz", "--gradient", "half"], ["exact or constant", "'half'"]),
        (["simulate", "o", "--episode", "e.npz", "--mode", "mixed"], ["static or dynamic", "'mixed'"]),
    ],
)
def test_refused(run, tmp_path: Path, monkeypatch, arguments: list[str], parts: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run(*arguments).check_refused(*parts)
    assert not any(tmp_path.iterdir())


def test_a_tail_that_is_too_long(run, embedding_model: Path, tmp_path: Path) -> None:
    options = ["--mode", "dynamic", "--tail", 3, *PROTOTYPES]
    run("convert", embedding_model, "-o", tmp_path / "out", *options).check_refused("from 1 to 2", "received 3")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("gradient", ["exact", "constant"])
def test_a_dynamic_build_chooses_and_adapts(run, dynamic_build: Path, episode: Path, tmp_path: Path, gradient) -> None:
    path = tmp_path / "result.json"
    options = ["--mode", "dynamic", "--iterations", 20, "--gradient", gradient, "--seed", 3, "--json", path]
    outcome = run("simulate", dynamic_build, "--episode", episode, *options)
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads(path.read_text())
    assert len(content["losses"]) == 20
    assert content["plan"]["strategy"] == "tinytrain"
    assert content["plan"]["budget"]["training_memory_bytes"] == 2048
    for layer in content["plan"]["layers"]:
        assert layer in outcome.out
    assert content["instructions"] == dict.fromkeys(["fisher", "select", "adapt", "predict", "train_step"])
    assert content["accuracy_after"] >= content["accuracy_before"]


def test_a_static_build_adapts_by_itself(run, embedding_model: Path, episode: Path, tmp_path: Path) -> None:
    folder, path = tmp_path / "static", tmp_path / "result.json"
    options = [*PROTOTYPES, *ADAM, "--batch-size", 4, "--train", "second"]
    assert run("convert", embedding_model, "-o", folder, *options).code == 0
    simulated = run("simulate", folder, "--episode", episode, "--iterations", 5, "--flip", "--json", path)
    assert (simulated.code, simulated.err) == (0, "")
    content = json.loads(path.read_text())
    assert len(content["losses"]) == 5
    assert content["plan"] == json.loads((folder / "plan.json").read_text())
    run("simulate", folder, "--episode", episode, "--mode", "dynamic").check_refused("mode dynamic", "of mode static")


def test_a_dynamic_classifier_is_trained_step_by_step(
    run, classifier_model: Path, episode: Path, tmp_path: Path
) -> None:
    folder, path = tmp_path / "dynamic", tmp_path / "result.json"
    options = ["--mode", "dynamic", "--tail", 2, "--learning-rate", 0.1]
    converted = run("convert", classifier_model, "-o", folder, *options)
    assert (converted.code, converted.err) == (0, "")
    assert "inspected layers" in converted.out
    assert run("simulate", folder, "--episode", episode, "--iterations", 30, "--json", path).code == 0
    content = json.loads(path.read_text())
    assert content["plan"]["layers"].keys() <= {"second", "logits"}
    assert content["losses"][-1] < content["losses"][0]
    run("simulate", folder, "--episode", episode, "--gradient", "exact").check_refused("adapts by itself")


@pytest.mark.qemu
def test_instructions_in_qemu(run, dynamic_build: Path, episode: Path, tmp_path: Path) -> None:
    contents = {}
    for device in ("host", "cortex-m4"):
        path = tmp_path / f"{device}.json"
        options = ["--device", device, "--iterations", 3, "--json", path]
        outcome = run("simulate", dynamic_build, "--episode", episode, *options)
        assert outcome.code == 0, outcome.err
        contents[device] = json.loads(path.read_text())
    counts = contents["cortex-m4"]["instructions"]
    assert counts.pop("train_step") is None
    assert all(count > 0 for count in counts.values())
    assert f"{counts['fisher']:,}" in outcome.out
    assert contents["cortex-m4"]["plan"] == contents["host"]["plan"]
