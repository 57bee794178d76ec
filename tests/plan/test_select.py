# SPDX-License-Identifier: Apache-2.0
import itertools
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.random_tables import least, random_budget, random_fisher, random_table, with_bias_costs
from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, PlanCost, SavedTensor
from tt_tflm.plan.select import plan_cost, select
from tt_tflm.plan.update_plan import UpdatePlan

FIGURES = ("training_memory_bytes", "ram_bytes", "backward_macs")
seeds = st.integers(0, 2**32 - 1)
repeatable = settings(max_examples=150, derandomize=True, deadline=None, database=None)


def figures(cost: PlanCost) -> list[int]:
    return [getattr(cost, name) for name in FIGURES]


def fits(cost: PlanCost, budget: dict[str, int | None]) -> bool:
    return all(budget[name] is None or getattr(cost, name) <= budget[name] for name in FIGURES)


def counts_of(table: CostTable, plan: UpdatePlan) -> dict[int, int]:
    layers = plan.to_json()["layers"]
    return {i: len(layers[c.layer]["channels"]) for i, c in enumerate(table.candidates) if c.layer in layers}


def by_the_book(table, fisher, budget, share_256=128):
    """Selection written the slow way: one channel more at a time, channels sorted as pairs."""
    limits = budget.resolve(table.backward_macs_full).to_json()
    largest_w = np.float32(max(c.parameters for c in table.candidates))
    largest_m = np.float32(max(c.forward_macs for c in table.candidates))
    scores = []
    for c in table.candidates:
        p = np.float32(0)
        with np.errstate(over="ignore"):
            for value in fisher[c.layer]:
                p = p + value
            scores.append(p / ((np.float32(c.parameters) / largest_w) * (np.float32(c.forward_macs) / largest_m)))
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    chosen = {}

    def grow(i, most):
        while chosen.get(i, 0) < most and fits(table.cost({**chosen, i: chosen.get(i, 0) + 1}), limits):
            chosen[i] = chosen.get(i, 0) + 1

    for i in order:
        grow(i, max(1, table.candidates[i].channels * share_256 // 256))
    for i in [i for i in order if i in chosen]:
        grow(i, table.candidates[i].channels)
    picked = {}
    for i in sorted(chosen):
        values = fisher[table.candidates[i].layer]
        ranking = sorted(range(len(values)), key=lambda o: (-values[o], o))
        picked[table.candidates[i].layer] = sorted(ranking[: chosen[i]])
    return picked


def channels_of(plan: UpdatePlan) -> dict[str, list[int]]:
    return {name: layer["channels"] for name, layer in plan.to_json()["layers"].items()}


@repeatable
@given(seeds)
def test_selection_is_that_of_the_book(seed):
    generator = np.random.default_rng(seed)
    table = random_table(generator, channels=12)
    fisher, budget = random_fisher(generator, table), random_budget(generator, table)
    expected = by_the_book(table, fisher, budget)
    if expected:
        assert channels_of(select(table, fisher, budget)) == expected
    else:
        with pytest.raises(InputError):
            select(table, fisher, budget)


@repeatable
@given(seeds, st.sampled_from(["tinytrain", "fisher", "random", "bias_only", "sparse_update"]))
def test_no_budget_is_ever_exceeded(seed, strategy):
    generator = np.random.default_rng(seed)
    table = random_table(generator)
    biases = with_bias_costs(generator, table)
    fisher, budget = random_fisher(generator, table), random_budget(generator, table)
    try:
        plan = select(table, fisher, budget, strategy, bias_table=biases, share=generator.uniform(0.01, 1.0))
    except InputError as error:
        assert "\n" not in str(error)
        return
    cost = plan_cost(table, plan, biases)
    assert fits(cost, plan.budget)
    assert plan.spent == asdict(cost)


@repeatable
@given(seeds)
def test_no_chosen_layer_has_room_for_one_channel_more(seed):
    generator = np.random.default_rng(seed)
    table = random_table(generator)
    fisher, budget = random_fisher(generator, table), random_budget(generator, table)
    try:
        plan = select(table, fisher, budget)
    except InputError:
        return
    counts = counts_of(table, plan)
    for i, count in counts.items():
        full = count == table.candidates[i].channels
        assert full or not fits(table.cost({**counts, i: count + 1}), plan.budget)


@repeatable
@given(seeds)
def test_the_least_of_an_error_is_the_least_of_all_plans(seed):
    generator = np.random.default_rng(seed)
    table = random_table(generator, count=int(generator.integers(1, 4)), channels=3)
    plans = itertools.product(*(range(c.channels + 1) for c in table.candidates))
    costs = [table.cost({i: k for i, k in enumerate(plan) if k}) for plan in plans if any(plan)]
    lowest = [min(figure) for figure in zip(*map(figures, costs), strict=True)]
    assert lowest == figures(least(table))
    # A limit on either side of the least of each figure, alone and all together.
    offsets = generator.integers(-1, 2, 3)
    limits = {
        name: int(low + offset)
        for name, low, offset in zip(("training_memory", "ram", "backward_macs"), lowest, offsets, strict=True)
        if low + offset > 0 and generator.random() < 0.7
    }
    budget = Budget(**limits)
    resolved = budget.resolve(table.backward_macs_full).to_json()
    fisher = random_fisher(generator, table)
    if any(fits(cost, resolved) for cost in costs):
        assert fits(plan_cost(table, select(table, fisher, budget)), resolved)
        return
    with pytest.raises(InputError) as caught:
        select(table, fisher, budget)
    message = str(caught.value)
    stated = dict(zip(FIGURES, lowest, strict=True))
    told = message[message.index("the least of any plan is") :]
    numbers = [int(n) for n in re.findall(r" (\d+)", told.partition(";")[0])]
    assert numbers == [stated[name] for name in FIGURES if resolved[name] is not None]


def small_table(**changes) -> CostTable:
    candidates = (
        Candidate("a", 4, 40, 400, 10, 100, 50),
        Candidate("b", 4, 40, 400, 10, 100, 50),
        Candidate("c", 2, 10, 100, 5, 40, 20),
    )
    tensors = (SavedTensor(1000, 0b001, 32, 0b011), SavedTensor(500, 0b110, 16, 0b001))
    items = (MacItem(1000, 0b001), MacItem(300, 0b011))
    table = CostTable(candidates, tensors, items, fixed_ram_bytes=5000, backward_macs_full=10_000)
    return replace(table, **changes)


FISHER = {"a": [1.0, 4.0, 4.0, 0.0], "b": [1.0, 4.0, 4.0, 0.0], "c": [1.0, 1.0]}


def test_plan_records_what_it_was_made_for():
    plan = select(small_table(), FISHER, Budget(ram=5300, backward_macs=0.5), fingerprint="feed")
    assert plan.fingerprint == "feed"
    assert plan.strategy == "tinytrain"
    assert plan.budget == {"training_memory_bytes": None, "ram_bytes": 5300, "backward_macs": 5000}
    assert set(plan.spent) == {*FIGURES, "updated_parameters"}
    again = UpdatePlan.from_json(plan.to_json())
    assert again.to_json() == plan.to_json()


def test_without_limits_everything_is_trained():
    plan = select(small_table(), FISHER, Budget())
    assert channels_of(plan) == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3], "c": [0, 1]}


def test_ties_go_to_the_lower_position():
    # c has the highest score; a and b are equal, and only one more channel of one of them fits.
    plan = select(small_table(), FISHER, Budget(ram=5180))
    assert channels_of(plan) == {"a": [1], "c": [0, 1]}


def test_zero_potentials_choose_by_position():
    zeros = {name: np.zeros(len(values)) for name, values in FISHER.items()}
    assert channels_of(select(small_table(), zeros, Budget(ram=5200))) == {"a": [0, 1]}


def test_share_decides_between_many_layers_and_many_channels():
    budget = Budget(ram=5400)
    assert channels_of(select(small_table(), FISHER, budget, share=1.0)) == {"a": [0, 1, 2], "c": [0, 1]}
    assert channels_of(select(small_table(), FISHER, budget, share=0.25)) == {"a": [1, 2], "b": [1], "c": [0, 1]}


@pytest.mark.parametrize("share", [0, -0.5, 1.5, np.nan, "half", True, None])
def test_bad_shares_are_refused(share):
    with pytest.raises(InputError, match="share"):
        select(small_table(), FISHER, Budget(), share=share)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed"):
        select(small_table(), FISHER, Budget(), "random", seed=seed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": [1.0, 2.0, 3.0]}, ["'a'", "(4,)", "(3,)"]),
        ({"a": [[1.0, 2.0], [3.0, 4.0]]}, ["'a'", "(2, 2)"]),
        ({"b": [1.0, np.nan, 0.0, 0.0]}, ["'b'", "NaN"]),
        ({"b": [1.0, np.inf, 0.0, 0.0]}, ["'b'", "infinity"]),
        ({"b": [1.0, 1e300, 0.0, 0.0]}, ["'b'", "infinity"]),
        ({"c": [1.0, -0.5]}, ["'c'", "at least 0", "-0.5"]),
        ({"c": np.array([1, "x"], dtype=object)}, ["'c'", "object"]),
        ({"c": [1.0, 2j]}, ["'c'", "complex"]),
        ({"c": None}, ["'c'", "object"]),
        ({"c": [[1.0], [1.0, 2.0]]}, ["'c'", "list"]),
        ({"d": [1.0]}, ["'d'"]),
    ],
)
def test_bad_potentials_are_refused_in_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        select(small_table(), FISHER | changes, Budget())
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_missing_potentials_are_refused():
    with pytest.raises(InputError, match=r"'c'.*received none"):
        select(small_table(), {"a": FISHER["a"], "b": FISHER["b"]}, Budget())
    with pytest.raises(InputError, match="mapping"):
        select(small_table(), None, Budget())
    with pytest.raises(InputError, match="mapping"):
        select(small_table(), [1.0], Budget())


def test_other_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"tinytrain.*'tinytran'"):
        select(small_table(), FISHER, Budget(), "tinytran")
    with pytest.raises(InputError, match=r"Budget.*dict"):
        select(small_table(), FISHER, {"ram": 5})
    with pytest.raises(InputError, match="at least one layer"):
        select(small_table(candidates=(), tensors=(), mac_items=()), {}, Budget())


def test_error_of_one_limit_tells_the_least():
    with pytest.raises(InputError) as caught:
        select(small_table(), FISHER, Budget(training_memory=100))
    assert str(caught.value) == (
        "expected a budget that one channel of one layer fits, received training memory 100 bytes: the least of any "
        "plan is training memory 540 bytes"
    )


def test_error_of_limits_that_only_together_are_too_small_names_a_layer():
    table = small_table(mac_items=(MacItem(1000, 0b001), MacItem(300, 0b011), MacItem(900, 0b100)))
    with pytest.raises(InputError) as caught:
        select(table, FISHER, Budget(ram=5050, backward_macs=400))
    assert str(caught.value) == (
        "expected a budget that one channel of one layer fits, received RAM 5050 bytes and backward MACs 400: the "
        "least of any plan is RAM 5040 bytes and backward MACs 350; no one plan has them all: the nearest is layer 'b' "
        "with RAM 5100 bytes and backward MACs 350"
    )


def test_plan_cost_is_that_of_the_table():
    table = small_table()
    plan = UpdatePlan({"a": [3], "c": "all"})
    assert plan_cost(table, plan) == table.cost({0: 1, 2: 2}) == PlanCost(1000 + 500 + 180, 5180, 1390, 20)


def test_plan_cost_of_biases_alone_and_of_weights_alone():
    table = small_table()
    biases = CostTable(
        tuple(Candidate(c.layer, c.channels, c.parameters, c.forward_macs, 1, 8, 0) for c in table.candidates),
        (SavedTensor(1000, 0, 32, 0b011), SavedTensor(500, 0, 16, 0b001)),
        table.mac_items,
        5000,
        10_000,
    )
    alone = UpdatePlan({"a": {"channels": [0, 1], "weights": False}})
    assert plan_cost(table, alone, biases) == PlanCost(16 + 48, 5016, 1300, 2)
    mixed = UpdatePlan({"a": {"channels": [0, 1], "weights": False}, "c": {"channels": "all", "bias": False}})
    assert plan_cost(table, mixed, biases) == PlanCost(16 + 32 + 500 + 80, 5096, 1340, 2 + 10 - 2)
    with pytest.raises(InputError, match=r"'a'.*bias_table"):
        plan_cost(table, alone)


def test_plan_cost_refuses_plans_of_other_layers():
    with pytest.raises(InputError, match="'z'"):
        plan_cost(small_table(), UpdatePlan({"z": [0]}))
    with pytest.raises(InputError, match=r"'a'.*below 4.*received 4"):
        plan_cost(small_table(), UpdatePlan({"a": [4]}))
