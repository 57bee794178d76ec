# SPDX-License-Identifier: Apache-2.0
"""The recipe of a strategy: one file, here of another package."""

import json

import numpy as np
import pytest

from recipes import outside
from tt_tflm.errors import InputError
from tt_tflm.meta import EvaluationSettings, evaluate
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.strategies import STRATEGIES, Strategy

WIDEST = """
from tt_tflm.plan.strategies import strategy
from tt_tflm.plan.wish import in_order

@strategy("widest", "the layer with the most channels first; channels by the L2 norm of their rows")
def widest(task):
    candidates = task.table.candidates
    return in_order(task, sorted(range(len(candidates)), key=lambda i: -candidates[i].channels), task.norms())
"""


@pytest.fixture
def widest(monkeypatch, tmp_path):
    outside.install(monkeypatch, tmp_path / "site", STRATEGIES, "tt_tflm.strategies", "someones_strategy", WIDEST)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.keras"
    outside.embedding_model().save(path)
    return path


def test_it_plans_from_the_command_line(widest, model, tmp_path, capfd):
    episode, plan = tmp_path / "episode.npz", tmp_path / "plan.json"
    x, y = outside.images()
    np.savez(episode, support_x=x, support_y=y, query_x=x, query_y=y)
    options = ("--episode", episode, "--loss", "prototype", "--classes", 4, "--training-memory", "700", "-o", plan)
    code, _, err = outside.tt_tflm(capfd, "plan", model, "--strategy", "widest", *options)
    assert (code, err) == (0, "")
    content = json.loads(plan.read_text())
    assert content["strategy"] == "widest"
    assert "wide" in content["layers"], "the layer that it wants most fits the budget"
    assert "|widest" in outside.tt_tflm(capfd, "plan", "--help")[1].replace("\n", "")
    code, out, err = outside.tt_tflm(capfd, "plan", model, "--strategy", "wides", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith("received 'wides': did you mean 'widest'?\n")


def test_it_is_compared_with_the_others(widest, model):
    settings = EvaluationSettings(
        ways=3,
        shots=2,
        queries=2,
        count=1,
        iterations=1,
        strategies=("none", "widest"),
        budget=Budget(training_memory="2KB"),
    )
    result = evaluate(model, outside.images(), settings).to_json()["strategies"]
    assert list(result) == ["none", "widest"]
    assert 0 < result["widest"]["training_memory_bytes"] <= 2048
    assert settings.learning_rate("widest") == Strategy.learning_rate
    with pytest.raises(
        InputError, match=r"expected a strategy of .*, widest, received 'widdest': did you mean 'widest'"
    ):
        EvaluationSettings(strategies=("widdest",))


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"biases": True}, "expected per_task=False with biases=True"),
        ({"fisher": True, "per_task": False}, "expected per_task=True with fisher=True"),
        ({"learning_rate": float("nan")}, "expected a finite learning_rate"),
    ],
)
def test_properties_that_no_board_can_keep_are_refused(properties, message):
    with pytest.raises(InputError, match=f"^strategy 'mine': {message}"):
        Strategy("mine", "", lambda _task: None, **properties)
