# SPDX-License-Identifier: Apache-2.0
"""A dynamic build, told or left to choose a plan, trains as the static build of that plan does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle.boards import check_untouched, relative_error
from oracle.folding import fold_batch_norm
from oracle.random_nets import Net, net_settings, nets
from oracle.reference import SGD, Adam, Momentum, PrototypeLoss, chosen_entries

import tt_tflm
from dynamic.builds import convert_dynamic, convert_static, counting_board, inspected, random_plan, table_of
from tt_tflm.boards.simulated.choice import read_potentials
from tt_tflm.boards.simulated.protocol import Command
from tt_tflm.plan.select import select

OPTIMIZERS = (SGD(0.05), Momentum(0.02), Adam(0.01))
NETS = 2  # for each optimiser and head
STEPS = 5
TOLERANCE = 1e-6


def samples_of(net: Net, count: int) -> list[tuple[np.ndarray, int]]:
    samples = net.samples(count)
    assume(len(samples) == count)
    return samples


def enroll(board, net: Net, samples: list[tuple[np.ndarray, int]]) -> None:
    if isinstance(net.loss, PrototypeLoss):
        for label, (x, _) in enumerate(samples[: net.classes]):
            board.enroll(x, label)


def train(board, samples: list[tuple[np.ndarray, int]]) -> list[float]:
    return [board.train_step(x, label) for x, label in samples[-STEPS:]]


def macs_of_a_step(build, net: Net, samples, plan: tt_tflm.UpdatePlan | None) -> int:
    with counting_board(build) as board:
        enroll(board, net, samples)
        if plan is not None:
            board.choose(plan)
        start = board.counted()
        board.train_step(*samples[-1])
        return board.counted() - start


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
@pytest.mark.parametrize("head", ["logits", "embedding"])
def test_chosen_plan_trains_as_the_static_build_does(head: str, optimizer) -> None:
    @net_settings(NETS)
    @given(nets(head=head), st.integers(0, 2**16))
    def check(net: Net, seed: int) -> None:
        samples = samples_of(net, net.classes + STEPS)
        dynamic = convert_dynamic(net.model, net.loss, optimizer)
        plan = random_plan(np.random.default_rng(seed), inspected(dynamic))
        static = convert_static(net.model, net.loss, optimizer, plan)
        with dynamic.simulate(device="host") as board:
            before = board.weights()
            enroll(board, net, samples)
            scores = board.predict(samples[0][0])
            # A plan trained before leaves nothing behind.
            board.choose(tt_tflm.UpdatePlan(random_plan(np.random.default_rng(seed + 1), inspected(dynamic))))
            train(board, samples)
            board.choose(tt_tflm.UpdatePlan(plan))
            assert np.array_equal(board.predict(samples[0][0]), scores)
            losses = train(board, samples)
            after = board.weights()
            moved_scores = board.predict(samples[0][0])
        with static.simulate(device="host") as board:
            enroll(board, net, samples)
            assert relative_error(scores, board.predict(samples[0][0])) <= TOLERANCE
            assert losses == pytest.approx(train(board, samples), rel=1e-5, abs=1e-6)
            expected = board.weights()
            assert relative_error(moved_scores, board.predict(samples[0][0])) <= 1e-5
        check_untouched(
            before, after, chosen_entries(fold_batch_norm(net.model), {k: list(v) for k, v in plan.items()})
        )
        for key, value in expected.items():
            assert relative_error(after[key], value) <= TOLERANCE, key
        assert macs_of_a_step(dynamic, net, samples, tt_tflm.UpdatePlan(plan)) == macs_of_a_step(
            static, net, samples, None
        )

    check()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["logits", "embedding"])
def test_board_selects_as_the_host_does(head: str) -> None:
    @net_settings(3 * NETS)
    @given(nets(head=head), st.sampled_from(OPTIMIZERS), st.integers(0, 2**16))
    def check(net: Net, optimizer, seed: int) -> None:
        samples = samples_of(net, net.classes + STEPS)
        build = convert_dynamic(net.model, net.loss, optimizer)
        choice = build.simulation["choice"]
        _, table = table_of(net.model, net.loss, optimizer, fixed_ram_bytes=choice["fixed_ram_bytes"])
        largest = table.cost({i: c.channels for i, c in enumerate(table.candidates)})
        generator = np.random.default_rng(seed)
        with build.simulate(device="host") as board:
            enroll(board, net, samples)
            for x, label in samples[-STEPS:]:
                board.fisher_accumulate(x, label)
            # The board selects by its sums; halving and dividing them would round.
            potentials = read_potentials(board._call(Command.READ_ROW_POOL), choice)
            for _ in range(8):
                shares = generator.uniform(0.02, 1.1, 3)
                budget = tt_tflm.Budget(
                    int(largest.training_memory_bytes * shares[0]) + 1,
                    min(
                        int(table.fixed_ram_bytes + (largest.ram_bytes - table.fixed_ram_bytes) * shares[1]),
                        build.report_data["ram_bytes"],
                    ),
                    int(largest.backward_macs * shares[2]) + 1,
                )
                try:
                    expected = select(table, potentials, budget)
                except tt_tflm.InputError as refusal:
                    assert "the least of any plan is" in str(refusal)
                    with pytest.raises(tt_tflm.DeviceError, match="budget"):
                        board.select(budget)
                    continue
                plan = board.select(budget)
                assert _channels(plan) == _channels(expected)
                assert plan.strategy == expected.strategy
                assert _channels(board.plan()) == _channels(plan)

    check()


def _channels(plan: tt_tflm.UpdatePlan) -> dict[str, tuple[int, ...]]:
    return {name: tuple(entry[0]) for name, entry in plan.layers.items()}
