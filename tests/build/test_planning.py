# SPDX-License-Identifier: Apache-2.0
"""Planning on the host: plans keep their budgets, spend what builds hold, and follow the potentials of boards."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from tt_tflm import SGD, Adam, Budget, InputError, Momentum, PrototypeLoss, TrainableConverter, UpdatePlan
from tt_tflm.boards.episode import Episode
from tt_tflm.build.planning import _Planner, plan_on_host
from tt_tflm.plan.select import plan_cost, select
from tt_tflm.plan.strategies import STRATEGIES

SHAPE = (16, 16, 3)
SPENT = ("training_memory_bytes", "ram_bytes", "backward_macs", "updated_parameters")
OPTIMIZERS = [SGD(), Momentum(), Adam(), Adam(batch_size=4)]
TRAINING = sorted(set(STRATEGIES) - {"none"})


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Two inverted bottlenecks, a layer without bias among them."""
    keras.utils.set_random_seed(1)
    entry = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(entry)
    for block in range(2):
        y = layers.Conv2D(24, 1, activation="relu6", use_bias=block == 0, name=f"expand_{block}")(x)
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name=f"depthwise_{block}")(y)
        x = layers.Add()([x, layers.Conv2D(8, 1, name=f"project_{block}")(y)])
    return keras.Model(entry, layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def converter(model: keras.Model) -> TrainableConverter:
    converter = TrainableConverter.from_keras_model(model)
    converter.loss = PrototypeLoss(classes=3)
    return converter


@pytest.fixture(scope="module")
def support() -> tuple[np.ndarray, np.ndarray]:
    samples = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    return samples, np.arange(6) % 3


def check_spent(converter: TrainableConverter, plan: UpdatePlan) -> None:
    """The build reports what the plan says, and the plan keeps its budget."""
    converter.plan = plan
    report = converter.convert().report_data
    converter.plan = None
    assert {name: report[name] for name in SPENT} == plan.spent
    for name, limit in plan.budget.items():
        assert limit is None or plan.spent[name] <= limit


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=str)
@pytest.mark.parametrize("strategy", TRAINING)
def test_builds_spend_what_plans_say(converter, support, optimizer, strategy) -> None:
    converter.optimizer = optimizer
    free = plan_on_host(converter, support, Budget(), strategy)
    check_spent(converter, free)
    if strategy in ("full", "last_layer"):
        return
    spent = free.spent
    tight = Budget(spent["training_memory_bytes"] * 2 // 3, spent["ram_bytes"] * 9 // 10, 0.7)
    plan = plan_on_host(converter, support, tight, strategy, share=0.25)
    check_spent(converter, plan)
    assert plan.layers != free.layers


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_the_table_costs_any_plan_as_builds_do(converter, optimizer) -> None:
    """Layers trained whole and biases alone, in any mixture; RAM apart, which the arena planner settles."""
    converter.optimizer = optimizer
    converter.tail = len(converter.layers)
    imported = converter._import()
    planner = _Planner(converter, imported, Budget(), "bias_only", 0.5, 0)
    draw = np.random.default_rng(3)
    for _ in range(12):
        plan = {}
        for layer in imported.layers:
            kind = draw.integers(3 if layer.bias else 2)
            if kind > 0:
                count = int(draw.integers(1, layer.channels + 1))
                plan[layer.name] = {"channels": list(range(count)), "weights": bool(kind == 1)}
        if not plan:
            continue
        entries = UpdatePlan(plan)
        cost = dataclasses.asdict(plan_cost(planner.table, entries, planner._bias_table))
        real = dataclasses.asdict(planner._cost(planner._layers(entries)))
        assert {**cost, "ram_bytes": None} == {**real, "ram_bytes": None}


def test_selection_follows_the_potentials_of_a_board(converter, support) -> None:
    budget = Budget(training_memory="6KB")
    plan = plan_on_host(converter, support, budget)
    converter.mode, converter.tail = "dynamic", len(converter.layers)
    with converter.convert().simulate() as board:
        for call in (board.enroll, board.fisher_accumulate):
            for x, label in zip(*support, strict=True):
                call(x, int(label))
        assert board.select(budget).layers == plan.layers
    assert plan.fingerprint == converter.convert().report_data["fingerprint"]


def test_the_converter_stays_as_it_was(converter, support) -> None:
    before = UpdatePlan({"stem": "all"})
    converter.plan, converter.target, converter.tail = before, "cortex-m7", 2
    plan_on_host(converter, support, Budget(), "last_layer")
    assert (converter.plan, converter.target, converter.tail, converter.mode) == (before, "cortex-m7", 2, "static")


def test_an_episode_is_taken_for_its_support(converter, support) -> None:
    episode = Episode(*support, support[0][:3], support[1][:3])
    budget = Budget(backward_macs=0.5)
    assert plan_on_host(converter, episode, budget).to_json() == plan_on_host(converter, support, budget).to_json()


@pytest.mark.parametrize("strategy", ["tinytrain", "random", "bias_only", "sparse_update"])
def test_ram_that_no_plan_fits_tells_the_least_that_one_does(converter, support, strategy) -> None:
    with pytest.raises(InputError, match=r"received RAM 1000 bytes: the least of any plan is RAM \d+ bytes") as caught:
        plan_on_host(converter, support, Budget(ram=1000), strategy)
    least = int(str(caught.value).split()[-2])
    with pytest.raises(InputError, match=f"RAM {least} bytes"):
        plan_on_host(converter, support, Budget(ram=least - 1), strategy)
    plan = plan_on_host(converter, support, Budget(ram=least), strategy)
    assert plan.spent["ram_bytes"] == least
    check_spent(converter, plan)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_ram_is_used_where_it_is_given(converter, support, share) -> None:
    most = plan_on_host(converter, support, Budget(), "full").spent["ram_bytes"]
    least = plan_on_host(converter, support, Budget(), "last_layer").spent["ram_bytes"]
    limit = int(least + share * (most - least))
    plan = plan_on_host(converter, support, Budget(ram=limit))
    assert 0.7 * limit < plan.spent["ram_bytes"] <= limit


@pytest.mark.parametrize("strategy", ["full", "last_layer"])
def test_plans_that_are_whole_or_nothing(converter, support, strategy) -> None:
    needed = plan_on_host(converter, support, Budget(), strategy).spent["ram_bytes"]
    with pytest.raises(InputError, match=f"'{strategy}'.*at least RAM {needed} bytes, received {needed - 1}"):
        plan_on_host(converter, support, Budget(ram=needed - 1), strategy)
    assert plan_on_host(converter, support, Budget(ram=needed), strategy).spent["ram_bytes"] == needed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strategy": "none"}, "received 'none'"),
        ({"strategy": "best"}, "received 'best'"),
        ({"budget": "256KB"}, "expected a Budget, received str"),
        ({"budget": Budget(training_memory=10)}, "the least of any plan is training memory"),
        ({"share": 0}, "share"),
        ({"seed": -1}, "seed"),
        ({"support": None}, "expected an Episode or"),
        ({"support": (np.zeros((2, *SHAPE), np.float32), np.zeros(2, int))}, "at least 2 classes, received 1"),
        ({"support": (np.zeros((2, *SHAPE), np.float32), np.arange(3))}, "expected 3 support samples"),
        ({"support": (np.zeros((2, *SHAPE), np.float32), np.arange(2.0))}, "labels of integers"),
        (
            {"support": (np.zeros((2, 4, 4, 3), np.float32), np.arange(2))},
            r"samples \(16, 16, 3\), received \(4, 4, 3\)",
        ),
        ({"support": (np.zeros((2, *SHAPE), complex), np.arange(2))}, "float32"),
        ({"support": (np.full((2, *SHAPE), np.nan, np.float32), np.arange(2))}, "finite"),
        ({"support": (np.array([None, None]), np.arange(2))}, "uint8 or float32, .* received object"),
        ({"support": (np.zeros((2, *SHAPE), np.float32), np.arange(2))}, "expected images from -1 to 1"),
        (
            {"support": (np.linspace(-1, 1, 5 * 768, dtype=np.float32).reshape(5, *SHAPE), np.arange(5))},
            "label in 0..2, received 3",
        ),
    ],
)
def test_bad_input(converter, support, change, words) -> None:
    arguments = {"support": support, "budget": Budget(), "strategy": "tinytrain", **change}
    with pytest.raises(InputError, match=words):
        plan_on_host(converter, **arguments)


def test_strategies_that_look_at_potentials_are_known(converter) -> None:
    """The others plan without compiling anything."""
    converter.tail = len(converter.layers)
    planner = _Planner(converter, converter._import(), Budget(), "bias_only", 0.5, 0)
    rows = {layer.name: rows for layer, rows in zip(converter.layers, converter._import().rows, strict=True)}
    for strategy in TRAINING:
        options = {"rows": rows, "bias_table": planner._bias_table}
        if STRATEGIES[strategy].fisher:
            with pytest.raises(InputError, match="Fisher"):
                select(planner.table, None, Budget(), strategy, **options)
        else:
            select(planner.table, None, Budget(), strategy, **options)
