# SPDX-License-Identifier: Apache-2.0
"""Evaluations: both backends agree, costs keep the budget, processes change nothing, and the report says what it
should."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from meta import small
from rich.console import Console

import tt_tflm
from tt_tflm.errors import InputError
from tt_tflm.meta.episodes import draw_episodes
from tt_tflm.meta.evaluation import Evaluation, StrategyResult, evaluate
from tt_tflm.meta.evaluation_settings import EvaluationSettings
from tt_tflm.meta.images import load_images
from tt_tflm.meta.plot import write_plot
from tt_tflm.meta.statistics import mean_and_ci95
from tt_tflm.report import strategies_table

STRATEGIES = ("none", "last_layer", "full", "sparse_update", "tinytrain", "random", "magnitude")
BUDGET = tt_tflm.Budget(training_memory="4KB", backward_macs=0.6)
EPISODES = {"ways": 4, "shots": 3, "queries": 5, "count": 4, "seed": 1}
OPTIONS = {"iterations": 6, "budget": BUDGET, "learning_rates": dict.fromkeys(STRATEGIES[1:], 0.01)}


def evaluated(model: Path, images: Any, **settings: Any) -> Evaluation:
    return evaluate(model, images, EvaluationSettings(**settings))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "backbone.keras"
    small.backbone().save(path)
    return path


@pytest.fixture(scope="module")
def on_boards(model: Path) -> Evaluation:
    return evaluated(model, small.images(), strategies=STRATEGIES, **EPISODES, **OPTIONS)


def test_device_code_and_tensorflow_agree(model: Path, on_boards: Evaluation) -> None:
    in_tensorflow = evaluated(model, small.images(), strategies=STRATEGIES, backend="tf", **EPISODES, **OPTIONS)
    for name, expected in on_boards.strategies.items():
        assert in_tensorflow.strategies[name].costs == expected.costs
        assert in_tensorflow.strategies[name].accuracies == pytest.approx(expected.accuracies, abs=1e-9), name


def test_device_code_and_tflm_agree(model: Path, on_boards: Evaluation) -> None:
    names = ("none", "full", "sparse_update", "tinytrain", "magnitude")
    in_tflm = evaluated(model, small.images(), strategies=names, backend="tflm", **EPISODES, **OPTIONS)
    for name in names:
        assert in_tflm.strategies[name].costs == on_boards.strategies[name].costs
        assert in_tflm.strategies[name].accuracies == pytest.approx(on_boards.strategies[name].accuracies, abs=1e-9), (
            name
        )


def test_int8_takes_less_memory_and_answers_alike(model: Path, on_boards: Evaluation) -> None:
    names = ("none", "tinytrain")
    integer = evaluated(model, small.images(), strategies=names, precision="int8", **EPISODES, **OPTIONS)
    costs = {name: integer.strategies[name].costs for name in names}
    assert costs["none"]["ram_bytes"] < 0.75 * on_boards.strategies["none"].costs["ram_bytes"]
    assert 0 < costs["tinytrain"]["training_memory_bytes"] <= 4096
    for name in names:
        # Rounded, not spoiled: eight of eighty answers are allowed for.
        expected = np.mean(on_boards.strategies[name].accuracies)
        assert np.mean(integer.strategies[name].accuracies) > expected - 0.1, name
    assert integer.strategies["tinytrain"].accuracies != integer.strategies["none"].accuracies


def test_adapting_changes_something(on_boards: Evaluation) -> None:
    accuracies = {name: result.accuracies for name, result in on_boards.strategies.items()}
    assert all(len(values) == EPISODES["count"] for values in accuracies.values())
    assert all(accuracies[name] != accuracies["none"] for name in ("full", "tinytrain"))


def test_costs_keep_the_budget_and_come_from_the_planner(on_boards: Evaluation) -> None:
    costs = {name: result.costs for name, result in on_boards.strategies.items()}
    full = costs["full"]["backward_macs"]
    for name in ("sparse_update", "tinytrain", "random", "magnitude"):
        assert 0 < costs[name]["training_memory_bytes"] <= 4096
        assert 0 < costs[name]["backward_macs"] <= 0.6 * full
    assert costs["none"]["training_memory_bytes"] == costs["none"]["backward_macs"] == 0
    assert 0 < costs["none"]["ram_bytes"] < min(costs[name]["ram_bytes"] for name in STRATEGIES[1:])


def test_a_limit_of_ram_leaves_layers_uninspected(model: Path) -> None:
    whole = evaluated(
        model, small.images(), strategies=("tinytrain",), **EPISODES, **OPTIONS | {"budget": tt_tflm.Budget()}
    )
    ram = whole.strategies["tinytrain"].costs["ram_bytes"]
    limit = tt_tflm.Budget(ram=int(0.7 * ram))
    result = evaluated(
        model, small.images(), strategies=("tinytrain", "random"), **EPISODES, **OPTIONS | {"budget": limit}
    )
    for name in ("tinytrain", "random"):
        assert 0 < result.strategies[name].costs["ram_bytes"] <= 0.7 * ram, name


def test_processes_change_nothing(model: Path, on_boards: Evaluation) -> None:
    names = ("none", "tinytrain")
    spread = evaluated(model, small.images(), strategies=names, jobs=2, **EPISODES, **OPTIONS)
    for name in names:
        assert spread.strategies[name] == on_boards.strategies[name]


def test_the_report(on_boards: Evaluation) -> None:
    content = json.loads(json.dumps(on_boards.to_json(), allow_nan=False))
    assert list(content) == ["schema_version", "model", "data", "strategies", "paired"]
    assert content["model"] == "backbone.keras"
    assert list(content["strategies"]) == list(STRATEGIES)
    for entry in content["strategies"].values():
        assert list(entry) == [
            "accuracy_mean",
            "accuracy_ci95",
            "accuracies",
            "training_memory_bytes",
            "ram_bytes",
            "backward_macs",
        ]
        assert (entry["accuracy_mean"], entry["accuracy_ci95"]) == pytest.approx(mean_and_ci95(entry["accuracies"]))
    assert len(content["paired"]) == math.comb(len(STRATEGIES), 2)
    tinytrain, none = (np.array(content["strategies"][name]["accuracies"]) for name in ("tinytrain", "none"))
    (row,) = [row for row in content["paired"] if (row["a"], row["b"]) == ("tinytrain", "none")]
    assert (row["mean"], row["ci95"]) == pytest.approx(mean_and_ci95(tinytrain - none))


@pytest.mark.qemu
def test_instructions_are_those_of_a_board(model: Path, on_boards: Evaluation) -> None:
    names = ("none", "full", "tinytrain", "magnitude")
    result = evaluated(
        model, small.images(), strategies=names, instructions_on="cortex-m4", **EPISODES | {"count": 1}, **OPTIONS
    )
    counts = {name: entry["instructions"] for name, entry in result.to_json()["strategies"].items()}
    assert all(entry["predict"] > 0 for entry in counts.values())
    assert counts["none"]["update"] == 0
    samples = EPISODES["ways"] * EPISODES["shots"]
    # Support set and pseudo-queries: each at least a prediction, and a backward pass on top of it.
    for name in names[1:]:
        assert counts[name]["update"] > 2 * samples * counts[name]["predict"]
    assert counts["full"]["update"] > counts["tinytrain"]["update"]
    assert counts["tinytrain"]["fisher"] > samples * counts["tinytrain"]["predict"] > 0 < counts["tinytrain"]["select"]
    assert counts["magnitude"]["fisher"] == counts["magnitude"]["select"] == counts["full"]["fisher"] == 0
    assert "instructions" not in on_boards.to_json()["strategies"]["full"]
    with (console := Console(width=200)).capture() as shown:
        console.print(strategies_table(result.to_json()))
    assert f"{counts['full']['update']:,}" in shown.get()


def test_a_strategy_too_large_for_the_emulated_board() -> None:
    costs = {"training_memory_bytes": 1, "ram_bytes": 2, "backward_macs": 3}
    counts = {"predict": 4, "fisher": 5, "select": 6, "update": 7}
    results = {"tinytrain": StrategyResult((0.5,), costs, counts), "full": StrategyResult((0.5,), costs, None)}
    content = json.loads(json.dumps(Evaluation("m", "d", results).to_json()))
    assert content["strategies"]["tinytrain"]["instructions"] == counts
    assert content["strategies"]["full"]["instructions"] is None
    with (console := Console(width=200)).capture() as shown:
        console.print(strategies_table(content))
    assert shown.get().count("too large") == 3


def test_a_single_episode_has_no_interval() -> None:
    result = StrategyResult((0.5,), {"training_memory_bytes": 1, "ram_bytes": 2, "backward_macs": 3})
    content = Evaluation("m", "d", {"none": result, "full": result}).to_json()
    assert content["strategies"]["none"]["accuracy_ci95"] is None
    assert content["paired"] == [{"a": "full", "b": "none", "mean": 0.0, "ci95": None}]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot(on_boards: Evaluation, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plot.{suffix}"
    write_plot(on_boards.to_json(), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix == "png" else all(s.encode() in content for s in ("<svg",))
    with pytest.raises(InputError, match="expected a file that can be written"):
        write_plot(on_boards.to_json(), tmp_path / "missing" / "plot.png")


REFUSED = {
    "a strategy": ({"strategies": ("none", "best")}, "received 'best'"),
    "a strategy twice": ({"strategies": ("none", "none")}, "every strategy once"),
    "no strategy": ({"strategies": ()}, "at least one strategy"),
    "backend": ({"backend": "tvm"}, "backend: expected one of c, tflm, tf, received 'tvm'"),
    "precision": ({"precision": "int4"}, "precision: expected one of float32, int8, received 'int4'"),
    "int8": ({"precision": "int8", "backend": "tf"}, "precision int8: expected backend 'c', received 'tf'"),
    "instructions of another backend": ({"instructions_on": "cortex-m4", "backend": "tf"}, "expected backend 'c'"),
    "instructions of this machine": ({"instructions_on": "host"}, "expected an emulated core"),
    "jobs": ({"jobs": 0}, "jobs: expected"),
    "count": ({"count": 0}, "count: expected"),
    "rates": ({"learning_rates": {"none": 1.0}}, "learning_rates: strategy 'none': expected no learning rate"),
    "ways": ({"ways": 11}, "at least 11 classes to draw from, received 10"),
    "shots": ({"shots": 19}, "at least 24 images of every class"),
    "budget": (
        {"budget": tt_tflm.Budget(training_memory=8), "strategies": ("tinytrain",)},
        "a budget that one channel",
    ),
    "episodes": ({"episodes": [1]}, "a file or a list of Rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused(case: str, model: Path) -> None:
    options, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refused:
        evaluated(model, small.images(), **{**EPISODES, **options})
    assert "\n" not in str(refused.value)


def test_given_episodes_are_used(model: Path) -> None:
    images = load_images(small.images())
    rows = draw_episodes(images, 4, 4, 3, 5, seed=1)
    one = evaluated(model, images, episodes=rows[2:3], strategies=("none",))
    all_of_them = evaluated(model, images, strategies=("none",), **EPISODES)
    assert one.strategies["none"].accuracies == all_of_them.strategies["none"].accuracies[2:3]
