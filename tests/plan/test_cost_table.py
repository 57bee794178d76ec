# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.random_tables import random_table, with_bias_costs
from tt_tflm.errors import InputError
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, PlanCost, SavedTensor
from tt_tflm.plan.wish import combine

seeds = st.integers(0, 2**32 - 1)
repeatable = settings(max_examples=100, derandomize=True, deadline=None, database=None)

TABLE = CostTable(
    (Candidate("a", 8, 80, 800, 10, 48, 30), Candidate("b", 4, 20, 200, 5, 24, 7)),
    (SavedTensor(100, 0b01, 4, 0b10), SavedTensor(300, 0b10, 12, 0b01), SavedTensor(70, 0b00, 3, 0b11)),
    (MacItem(1000, 0b01), MacItem(5, 0b11)),
    9000,
    5000,
)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({0: 1}, PlanCost(48 + 100 + 12 + 3, 9048, 30 + 1000 + 5, 10)),
        ({1: 4}, PlanCost(96 + 4 + 300 + 3, 9096, 28 + 5, 20)),
        ({0: 2, 1: 1}, PlanCost(96 + 24 + 100 + 300 + 3, 9120, 60 + 7 + 1005, 25)),
        ({}, PlanCost(0, 9000, 0, 0)),
    ],
)
def test_costs_by_hand(chosen, expected):
    assert TABLE.cost(chosen) == expected


def any_plan(generator: np.random.Generator, table: CostTable) -> dict[int, int]:
    chosen = generator.permutation(len(table.candidates))[: generator.integers(1, len(table.candidates) + 1)]
    return {int(i): int(generator.integers(1, table.candidates[i].channels + 1)) for i in chosen}


@repeatable
@given(seeds)
def test_costs_grow_with_layers_and_channels(seed):
    generator = np.random.default_rng(seed)
    table = random_table(generator)
    more = any_plan(generator, table)
    fewer = {i: max(1, count // 2) for i, count in more.items() if generator.random() < 0.7}
    assert all(a <= b for a, b in zip(vars(table.cost(fewer)).values(), vars(table.cost(more)).values(), strict=True))


@repeatable
@given(seeds)
def test_a_combined_table_costs_what_its_halves_do(seed):
    generator = np.random.default_rng(seed)
    table = random_table(generator)
    biases = with_bias_costs(generator, table)
    plan = any_plan(generator, table)
    both = combine(table, biases)
    assert both.cost(plan) == table.cost(plan)
    assert both.cost({i + len(table.candidates): count for i, count in plan.items()}) == biases.cost(plan)


def test_tables_of_two_networks_are_not_combined():
    for other in (
        CostTable(TABLE.candidates[::-1], TABLE.tensors, TABLE.mac_items, 9000, 5000),
        CostTable(TABLE.candidates, TABLE.tensors[:1], TABLE.mac_items, 9000, 5000),
        CostTable(TABLE.candidates, TABLE.tensors, (MacItem(999, 0b01), MacItem(5, 0b11)), 9000, 5000),
    ):
        with pytest.raises(InputError, match="bias_table of the same"):
            combine(TABLE, other)
