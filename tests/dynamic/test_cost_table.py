# SPDX-License-Identifier: Apache-2.0
"""Costs of plans over a tail against those of static programs, and what a dynamic build says it occupies."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.fixed_nets import CLASSES, INPUT_SHAPE, small_inputs
from oracle.random_nets import FOCUSES, Net, net_settings, nets
from oracle.reference import SGD, Adam, Momentum, PrototypeLoss

import tt_tflm
from dynamic.builds import (
    convert_dynamic,
    convert_static,
    counting_board,
    inspected,
    ours,
    random_plan,
    small_dynamic_build,
    table_of,
)
from tt_tflm.plan.update_plan import LayerPlan
from tt_tflm.plan.wish import combine

OPTIMIZERS = (SGD(), SGD(batch_size=4), Momentum(), Adam(), Adam(batch_size=4))
PLANS_PER_NET = 6
NETS_PER_FOCUS = 3
BUDGETED_NETS = 8


@pytest.mark.slow
@pytest.mark.parametrize("focus", FOCUSES)
def test_table_costs_what_the_static_program_does(focus: str) -> None:
    @net_settings(NETS_PER_FOCUS)
    @given(nets(focus), st.sampled_from(OPTIMIZERS), st.sampled_from((None, 1, 2, 4)))
    def check(net: Net, optimizer, tail: int | None) -> None:
        generator = np.random.default_rng(net.seed)
        imported, table = table_of(net.model, net.loss, optimizer, tail)
        numbers = {c.layer: i for i, c in enumerate(table.candidates)}
        for _ in range(PLANS_PER_NET):
            plan = random_plan(generator, {c.layer: c.channels for c in table.candidates})
            program = imported.cost(
                {name: LayerPlan(channels) for name, channels in plan.items()}, ours(net.loss), ours(optimizer)
            )
            cost = table.cost({numbers[name]: len(channels) for name, channels in plan.items()})
            assert cost.training_memory_bytes == program.training_bytes
            assert cost.backward_macs == program.backward_macs
            assert cost.updated_parameters == program.updated_parameters
            assert cost.ram_bytes == sum(
                len(channels) * table.candidates[numbers[name]].row_bytes for name, channels in plan.items()
            )

    check()


@pytest.mark.slow
@pytest.mark.parametrize("focus", FOCUSES)
def test_table_of_biases_costs_what_the_static_program_does(focus: str) -> None:
    @net_settings(NETS_PER_FOCUS)
    @given(nets(focus), st.sampled_from(OPTIMIZERS))
    def check(net: Net, optimizer) -> None:
        generator = np.random.default_rng(net.seed)
        imported, table = table_of(net.model, net.loss, optimizer)
        _, bias_table = table_of(net.model, net.loss, optimizer, biases_alone=True)
        both = combine(table, bias_table)
        biased = {layer.name for layer in imported.layers if layer.bias}
        numbers = {c.layer: i for i, c in enumerate(table.candidates)}
        for _ in range(PLANS_PER_NET):
            plan = random_plan(generator, {c.layer: c.channels for c in table.candidates})
            alone = {name for name in plan if name in biased and generator.random() < 0.6}
            program = imported.cost(
                {name: LayerPlan(channels, weights=name not in alone) for name, channels in plan.items()},
                ours(net.loss),
                ours(optimizer),
            )
            cost = both.cost(
                {numbers[name] + len(numbers) * (name in alone): len(channels) for name, channels in plan.items()}
            )
            assert cost.training_memory_bytes == program.training_bytes
            assert cost.backward_macs == program.backward_macs
            assert cost.updated_parameters == program.updated_parameters

    check()


@pytest.mark.slow
def test_builds_keep_their_ram_budget_and_are_as_large_as_they_say() -> None:
    @net_settings(BUDGETED_NETS)
    @given(nets("depthwise", "embedding"), st.sampled_from(OPTIMIZERS), st.floats(0, 1))
    def check(net: Net, optimizer, share: float) -> None:
        largest = convert_dynamic(net.model, net.loss, optimizer)
        least = convert_dynamic(net.model, net.loss, optimizer, tail=1).simulation["choice"]["fixed_ram_bytes"]
        _, table = table_of(net.model, net.loss, optimizer, 1)
        least += table.candidates[-1].row_bytes + 15
        limit = int(least + share * max(0, largest.report_data["ram_bytes"] - least))
        build = convert_dynamic(net.model, net.loss, optimizer, tt_tflm.Budget(ram=limit))
        report = build.report_data
        assert report["ram_bytes"] <= limit
        assert report["ram_bytes"] == report["arena_bytes"] + report["row_pool_bytes"] + report["session_bytes"]
        assert len(inspected(build)) <= len(inspected(largest))
        # A board refuses a build whose arena and row pool are not those that the compiled C reports.
        with build.simulate(device="host") as board:
            board.enroll(np.zeros(net.model.input_shape[1:], np.float32), 0)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [SGD(), Momentum(), Adam()], ids=lambda optimizer: type(optimizer).__name__)
def test_selected_plans_keep_their_budgets_as_measured(optimizer) -> None:
    """A selection's MACs are those that the static program of the same plan is counted to do, and its RAM what the
    build has room for."""
    loss = PrototypeLoss(CLASSES)
    model = unpadded_embedding()
    build = convert_dynamic(model, loss, optimizer)
    _, table = table_of(model, loss, optimizer, fixed_ram_bytes=build.simulation["choice"]["fixed_ram_bytes"])
    everything = table.cost({i: c.channels for i, c in enumerate(table.candidates)})
    numbers = {c.layer: i for i, c in enumerate(table.candidates)}
    generator = np.random.default_rng(3)
    x = small_inputs(4)
    with counting_board(build) as board:
        for label in (0, 1, 2):
            board.enroll(x[label], label)
        forward = board.counted()
        board.predict(x[0])
        forward = board.counted() - forward
        for i in range(3):
            board.fisher_accumulate(x[i], i)
        met = 0
        for _ in range(12):
            shares = generator.uniform(0.05, 1, 3)
            budget = tt_tflm.Budget(
                int(everything.training_memory_bytes * shares[0]),
                int(table.fixed_ram_bytes + (everything.ram_bytes - table.fixed_ram_bytes) * shares[1]),
                int(everything.backward_macs * shares[2]),
            )
            try:
                plan = board.select(budget)
            except tt_tflm.DeviceError:
                continue
            met += 1
            layers = {name: entry[0] for name, entry in plan.layers.items()}
            cost = table.cost({numbers[name]: len(channels) for name, channels in layers.items()})
            assert cost.training_memory_bytes <= budget.training_memory
            assert cost.ram_bytes <= budget.ram
            assert cost.backward_macs <= budget.backward_macs
            start = board.counted()
            board.train_step(x[3], 1)
            assert board.counted() - start - forward == cost.backward_macs
    assert met >= 4
    static = convert_static(model, loss, optimizer, layers)
    assert static.report_data["backward_macs"] == cost.backward_macs
    assert static.report_data["training_memory_bytes"] == cost.training_memory_bytes


def test_a_budget_that_not_one_channel_fits_tells_the_least_that_would() -> None:
    with pytest.raises(tt_tflm.InputError, match=r"expected ram of at least \d+ bytes") as refused:
        small_dynamic_build(SGD(), PrototypeLoss(CLASSES), budget=tt_tflm.Budget(ram=64))
    assert "\n" not in str(refused.value)
    least = int(str(refused.value).partition("at least ")[2].split()[0])
    build = small_dynamic_build(SGD(), PrototypeLoss(CLASSES), budget=tt_tflm.Budget(ram=least))
    assert build.report_data["ram_bytes"] <= least
    with build.simulate(device="host") as board:
        x = small_inputs(2)
        for label in (0, 1):
            board.enroll(x[label], label)
        board.fisher_accumulate(x[0], 0)
        assert board.select() is not None


def unpadded_embedding() -> keras.Model:
    """Without padding, whose taps are counted in a budget and skipped by kernels."""
    kl = keras.layers
    net = keras.Sequential(
        [
            keras.Input(INPUT_SHAPE),
            kl.Conv2D(8, 2, activation="relu6", name="conv"),
            kl.DepthwiseConv2D(2, activation="relu6", name="depthwise"),
            kl.Conv2D(12, 1, activation="relu6", name="wide"),
            kl.DepthwiseConv2D((3, 2), name="last_depthwise"),
            kl.GlobalAveragePooling2D(name="pool"),
            kl.Dense(6, name="embedding"),
        ]
    )
    source = np.random.default_rng(4)
    net.set_weights([source.normal(0, 0.5, value.shape) for value in net.get_weights()])
    return net
