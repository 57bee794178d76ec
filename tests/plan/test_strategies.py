# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from plan.random_tables import random_fisher, random_table, with_bias_costs
from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, SavedTensor
from tt_tflm.plan.select import plan_cost, select
from tt_tflm.plan.strategies import STRATEGIES


def bottlenecks() -> CostTable:
    """Three inverted bottlenecks (expand, depthwise, project); the path back to a layer costs 100 MACs a layer."""
    candidates, items, tensors = [], [], []
    for block in range(3):
        for kind, channels, row in (("expand", 24, 9), ("depthwise", 24, 10), ("project", 8, 25)):
            n = len(candidates)
            candidates.append(
                Candidate(f"{kind}_{block}", channels, channels * row, channels * row * 4, row, 4 * row, 4 * row)
            )
            items.append(MacItem(100, (1 << n) - 1))
            tensors.append(SavedTensor(640, 1 << n, 20, (1 << n) - 1))
    everything = sum(c.channels * c.channel_macs for c in candidates) + 100 * len(items)
    return CostTable(tuple(candidates), tuple(tensors), tuple(items), 2000, everything)


TABLE = bottlenecks()
NAMES = [c.layer for c in TABLE.candidates]
N = len(NAMES)


def bias_table(without: tuple[str, ...] = ()) -> CostTable:
    return CostTable(
        tuple(
            Candidate(c.layer, c.channels, c.parameters, c.forward_macs, int(c.layer not in without), 4, 0)
            for c in TABLE.candidates
        ),
        tuple(SavedTensor(t.full_bytes, 0, t.mask_bytes, t.mask_guard) for t in TABLE.tensors),
        TABLE.mac_items,
        TABLE.fixed_ram_bytes,
        TABLE.backward_macs_full,
    )


def layers_of(plan) -> dict[str, dict]:
    return plan.to_json()["layers"]


def one_channel_of_each(scores: dict[str, float]) -> dict[str, np.ndarray]:
    return {c.layer: np.full(c.channels, scores.get(c.layer, 0.0), np.float32) for c in TABLE.candidates}


# Each objective has a layer of its own that it likes best.
OBJECTIVES = CostTable(
    (
        Candidate("largest", 1, 1000, 1000, 1, 8, 1),
        Candidate("few_parameters", 1, 10, 1000, 1, 8, 1),
        Candidate("few_macs", 1, 1000, 8, 1, 8, 1),
        Candidate("both", 1, 60, 60, 1, 8, 1),
    ),
    (),
    (),
    0,
    4,
)
POTENTIALS = {"largest": [10.0], "few_parameters": [5.0], "few_macs": [5.0], "both": [4.0]}


@pytest.mark.parametrize(
    ("strategy", "best"),
    [("tinytrain", "both"), ("fisher", "largest"), ("fisher_memory", "few_parameters"), ("fisher_compute", "few_macs")],
)
def test_each_objective_has_its_favourite(strategy, best):
    assert list(layers_of(select(OBJECTIVES, POTENTIALS, Budget(ram=8), strategy))) == [best]


def test_full_trains_everything_and_records_its_name():
    plan = select(TABLE, None, Budget(), "full")
    assert layers_of(plan) == {c.layer: {"channels": list(range(c.channels)), "bias": True} for c in TABLE.candidates}
    assert plan.strategy == "full"
    assert plan.spent["backward_macs"] == TABLE.backward_macs_full - 100


def test_last_layer_trains_the_last_layer():
    plan = select(TABLE, None, Budget(), "last_layer")
    assert layers_of(plan) == {"project_2": {"channels": list(range(8)), "bias": True}}


@pytest.mark.parametrize("strategy", ["full", "last_layer"])
def test_what_cannot_be_cut_short_is_trained_whole_or_not(strategy):
    needs = plan_cost(TABLE, select(TABLE, None, Budget(), strategy))
    exact = Budget(needs.training_memory_bytes, needs.ram_bytes, needs.backward_macs)
    assert plan_cost(TABLE, select(TABLE, None, exact, strategy)) == needs
    with pytest.raises(InputError) as caught:
        select(TABLE, None, Budget(needs.training_memory_bytes, needs.ram_bytes - 1), strategy)
    memory, ram = f"training memory {needs.training_memory_bytes} bytes", needs.ram_bytes
    assert str(caught.value) == (
        f"strategy '{strategy}': expected a budget of at least {memory} and RAM {ram} bytes, received {memory} and RAM "
        f"{ram - 1} bytes: raise it, or choose a strategy that fits itself to it"
    )


def test_bias_only_trains_the_biases_that_exist_from_the_last_layer_back():
    without = ("project_1",)
    everything = select(TABLE, None, Budget(), "bias_only", bias_table=bias_table(without))
    assert list(layers_of(everything)) == [name for name in NAMES if name not in without]
    assert all(layer["weights"] is False and layer["bias"] is True for layer in layers_of(everything).values())
    assert everything.spent["updated_parameters"] == sum(c.channels for c in TABLE.candidates) - 8
    # Not one tensor is kept whole.
    assert everything.spent["training_memory_bytes"] == 4 * everything.spent["updated_parameters"] + 20 * (N - 1)
    shallow = select(TABLE, None, Budget(backward_macs=200), "bias_only", bias_table=bias_table(without))
    assert list(layers_of(shallow)) == ["expand_2", "depthwise_2", "project_2"]


def test_sparse_update_is_a_fixed_plan_of_the_last_half():
    plan = select(TABLE, None, Budget(), "sparse_update", bias_table=bias_table())
    all_24, all_8 = list(range(24)), list(range(8))
    assert layers_of(plan) == {
        "depthwise_1": {"channels": all_24, "bias": True, "weights": False},
        "project_1": {"channels": all_8, "bias": True, "weights": False},
        "expand_2": {"channels": list(range(6)), "bias": True},
        "depthwise_2": {"channels": all_24, "bias": True, "weights": False},
        "project_2": {"channels": all_8, "bias": True, "weights": False},
    }
    assert plan_cost(TABLE, plan, bias_table()).updated_parameters == 6 * 9 + 24 + 8 + 24 + 8
    fisher = random_fisher(np.random.default_rng(0), TABLE)
    assert layers_of(select(TABLE, fisher, Budget(), "sparse_update", bias_table=bias_table())) == layers_of(plan)


def test_sparse_update_is_cut_short_from_its_far_end():
    plan = select(TABLE, None, Budget(backward_macs=250), "sparse_update", bias_table=bias_table())
    assert list(layers_of(plan)) == ["expand_2", "depthwise_2", "project_2"]
    assert len(layers_of(plan)["expand_2"]["channels"]) == 1


def test_sparse_update_takes_the_largest_rows_where_it_knows_them():
    rows = {c.layer: np.ones((c.channels, 4)) for c in TABLE.candidates}
    rows["expand_2"][[3, 5, 8, 13, 21, 23]] = 2.0
    plan = select(TABLE, None, Budget(), "sparse_update", bias_table=bias_table(), rows=rows)
    assert layers_of(plan)["expand_2"]["channels"] == [3, 5, 8, 13, 21, 23]


def test_sparse_update_without_bottlenecks_trains_a_quarter_of_each_layer():
    dense = CostTable(tuple(Candidate(n, 8, 40, 40, 5, 24, 5) for n in "abcd"), (), (), 0, 160)
    plan = select(dense, None, Budget(), "sparse_update", bias_table=dense)
    assert layers_of(plan) == {n: {"channels": [0, 1], "bias": True} for n in "cd"}


@pytest.mark.parametrize("strategy", ["bias_only", "sparse_update"])
def test_costs_of_biases_alone_have_to_be_given(strategy):
    with pytest.raises(InputError, match=f"'{strategy}'.*bias_table"):
        select(TABLE, None, Budget(), strategy)


def test_bias_only_of_a_network_without_biases_is_refused():
    with pytest.raises(InputError, match=r"bias.*none"):
        select(TABLE, None, Budget(), "bias_only", bias_table=bias_table(tuple(NAMES)))


def test_random_depends_on_the_seed_alone():
    budget = Budget(ram=3000)
    plans = [layers_of(select(TABLE, None, budget, "random", seed=seed)) for seed in (0, 0, 1, 2)]
    assert plans[0] == plans[1]
    assert len({str(plan) for plan in plans}) == 3
    # The numbers of a seed are the same for ever.
    assert layers_of(select(TABLE, None, Budget(ram=2200), "random", seed=7)) == {
        "project_2": {"channels": [2, 3], "bias": True}
    }


def test_magnitude_goes_by_the_norms_of_base_rows():
    rows = {c.layer: np.full((c.channels, 3), 0.5, np.float32) for c in TABLE.candidates} | {"elsewhere": np.ones(3)}
    rows["project_1"][[2, 6]] = [[-9.0, 0.0, 9.0]] * 2
    plan = select(TABLE, None, Budget(ram=2000 + 2 * 100), "magnitude", rows=rows)
    assert layers_of(plan) == {"project_1": {"channels": [2, 6], "bias": True}}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "mapping"),
        ({}, "'expand_0'.*none"),
        ({"expand_0": np.ones((23, 3))}, r"'expand_0'.*\(24, stride\).*\(23, 3\)"),
        ({"expand_0": np.ones(24)}, r"'expand_0'.*\(24,\)"),
        ({"expand_0": np.full((24, 3), np.nan)}, "'expand_0'.*NaN"),
        ({"expand_0": np.full((24, 3), None)}, "'expand_0'.*object"),
    ],
)
def test_bad_rows_are_refused(rows, words):
    if rows:
        rows = {c.layer: np.ones((c.channels, 3)) for c in TABLE.candidates} | rows
    with pytest.raises(InputError, match=words) as caught:
        select(TABLE, None, Budget(), "magnitude", rows=rows)
    assert "\n" not in str(caught.value)


def test_none_is_no_plan():
    assert select(TABLE, None, Budget(), "none") is None


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "none"])
def test_every_strategy_is_deterministic_and_takes_no_notice_of_other_arguments(strategy):
    generator = np.random.default_rng(5)
    table = random_table(generator, count=10)
    biases, fisher = with_bias_costs(generator, table), random_fisher(generator, table)
    rows = {c.layer: generator.normal(size=(c.channels, 4)) for c in table.candidates}
    arguments = {"bias_table": biases, "rows": rows, "seed": 3}
    first, second = (select(table, fisher, Budget(), strategy, **arguments) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.strategy == strategy
    channels = {c.layer: c.channels for c in table.candidates}
    assert all(max(layer.channels) < channels[name] for name, layer in first.resolve(channels, "any").items())
