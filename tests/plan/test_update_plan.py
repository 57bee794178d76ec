# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from tt_tflm.errors import InputError
from tt_tflm.plan.update_plan import LayerPlan, UpdatePlan

LAYERS = {"a": [3, 1], "b": "all", "c": {"channels": [0], "bias": False}, "d": {"channels": "all", "weights": False}}
BUDGET = {"training_memory_bytes": 1000, "ram_bytes": None, "backward_macs": 50}
SPENT = {"training_memory_bytes": 900, "ram_bytes": 5000, "backward_macs": 49, "updated_parameters": 7}


def test_a_plan_survives_its_file(tmp_path):
    plan = UpdatePlan(LAYERS, "feed", strategy="tinytrain", budget=BUDGET, spent=SPENT)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_json()))
    again = UpdatePlan.load(path)
    assert (
        again.to_json()
        == plan.to_json()
        == {
            "schema_version": 1,
            "fingerprint": "feed",
            "strategy": "tinytrain",
            "budget": BUDGET,
            "spent": SPENT,
            "layers": {
                "a": {"channels": [1, 3], "bias": True},
                "b": {"channels": "all", "bias": True},
                "c": {"channels": [0], "bias": False},
                "d": {"channels": "all", "bias": True, "weights": False},
            },
        }
    )
    assert again.resolve({"a": 4, "b": 2, "c": 1, "d": 1}, "feed") == {
        "a": LayerPlan((1, 3)),
        "b": LayerPlan((0, 1)),
        "c": LayerPlan((0,), bias=False),
        "d": LayerPlan((0,), weights=False),
    }


def test_a_plan_by_hand_has_no_limits_and_nobody_has_counted():
    plan = UpdatePlan({"a": [0]})
    assert (plan.strategy, plan.spent) == ("given", None)
    assert plan.budget == {"training_memory_bytes": None, "ram_bytes": None, "backward_macs": None}


def test_files_with_less_or_more_than_the_schema_are_read():
    least = {"schema_version": 1, "layers": {"a": [0]}}
    assert UpdatePlan.from_json(least).to_json() == UpdatePlan({"a": [0]}).to_json()
    more = least | {"comment": "by hand", "budget": {"ram_bytes": 5, "note": "x"}, "spent": {}}
    assert UpdatePlan.from_json(more).budget["ram_bytes"] == 5


def test_layer_plans_come_back_as_they_were():
    layers = {"a": LayerPlan((0, 2), weights=False), "b": LayerPlan((1,), bias=False)}
    assert UpdatePlan(layers).resolve({"a": 3, "b": 2}, "any") == layers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": 5}, "strategy.*5"),
        ({"budget": [1]}, "'budget'.*list"),
        ({"budget": {"ram_bytes": -1}}, "'ram_bytes' under 'budget'.*-1"),
        ({"budget": {"backward_macs": 0.15}}, "'backward_macs' under 'budget'.*0.15"),
        ({"spent": {"updated_parameters": True}}, "'updated_parameters' under 'spent'.*True"),
        ({"layers": {"a": {"channels": [0], "weight": False}}}, "'a'.*'weights'.*'weight'"),
        ({"layers": {"a": {"weights": False}}}, "'a'.*'channels'"),
        ({"layers": {"a": {"channels": [0], "weights": 0}}}, "'a'.*true or false for 'weights'.*0"),
        ({"layers": {"a": {"channels": [0], "weights": False, "bias": False}}}, "'a'.*neither"),
    ],
)
def test_malformed_plans_are_refused_in_one_line(changes, words):
    content = {"schema_version": 1, "layers": {"a": [0]}} | changes
    with pytest.raises(InputError, match=words) as caught:
        UpdatePlan.from_json(content)
    assert "\n" not in str(caught.value)


def test_names_that_may_be_meant() -> None:
    plan = UpdatePlan({"logit": "all"})
    with pytest.raises(InputError, match="received 'logit' in the update plan: did you mean 'logits'"):
        plan.resolve({"first": 4, "logits": 3}, "0" * 16)
    with pytest.raises(InputError, match="did you mean 'channels'"):
        UpdatePlan({"logits": {"chanels": [1]}})
