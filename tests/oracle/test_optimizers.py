# SPDX-License-Identifier: Apache-2.0
"""Ten steps of each optimiser under each loss against the same steps in TensorFlow."""

from dataclasses import replace

import numpy as np
import pytest

from .boards import check_untouched, check_updates, convert
from .fixed_nets import CLASSES, CLASSIFIER_PLAN, EMBEDDING_PLAN, small_classifier, small_embedding, small_inputs
from .reference import SGD, Adam, Momentum, PrototypeLoss, Reference, SoftmaxLoss

STEPS = 10
OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.05),
    "momentum": Momentum(learning_rate=0.02, momentum=0.8),
    "adam": Adam(learning_rate=0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-5),
}
TASKS = {
    "softmax": (small_classifier, SoftmaxLoss(), CLASSIFIER_PLAN),
    "prototype": (small_embedding, PrototypeLoss(CLASSES, temperature=10.0), EMBEDDING_PLAN),
}

every_optimizer = pytest.mark.parametrize("rule", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def samples(count: int) -> list[tuple[np.ndarray, int]]:
    return [(x, index % CLASSES) for index, x in enumerate(small_inputs(count))]


def enroll(board) -> None:
    for x, label in samples(2 * CLASSES):
        board.enroll(x, label)


@every_optimizer
@every_task
@pytest.mark.parametrize("batch_size", [1, 3])
def test_ten_steps_equal_tensorflow(rule, task, batch_size: int) -> None:
    make_model, loss, plan = task
    model = make_model()
    rule = replace(rule, batch_size=batch_size)
    single = Reference(model, loss, rule, plan)
    double = Reference(model, loss, rule, plan, "float64")
    with convert(model, loss, rule, plan).simulate(device="host") as board:
        boards = (board, single, double)
        if isinstance(loss, PrototypeLoss):
            for each in boards:
                enroll(each)
        before = board.weights()
        losses = [[each.train_step(*sample) for each in boards] for sample in samples(STEPS * batch_size)]
        after = board.weights()

    for board_loss, _, double_loss in losses:
        assert board_loss == pytest.approx(double_loss, rel=1e-4, abs=1e-5)
    check_untouched(before, after, single.chosen)
    expected = {key: double.weights()[key] - before[key] for key in double.chosen}
    noise = {key: float(np.max(np.abs(single.weights()[key] - double.weights()[key]))) for key in expected}
    check_updates({key: after[key] - before[key] for key in expected}, expected, before, noise)


@every_optimizer
def test_weights_rest_until_the_batch_is_full(rule) -> None:
    rule = replace(rule, batch_size=3)
    with convert(small_classifier(), SoftmaxLoss(), rule, CLASSIFIER_PLAN).simulate(device="host") as board:
        before = board.weights()
        moved = []
        for sample in samples(6):
            board.train_step(*sample)
            after = board.weights()
            moved.append(any(not np.array_equal(before[key], after[key]) for key in before))
            before = after
    assert moved == [False, False, True, False, False, True]


@every_optimizer
def test_reset_returns_weights_moments_and_batch(rule) -> None:
    rule = replace(rule, batch_size=2)

    def train(board) -> dict[str, np.ndarray]:
        for sample in samples(5):
            board.train_step(*sample)
        return board.weights()

    with convert(small_classifier(), SoftmaxLoss(), rule, CLASSIFIER_PLAN).simulate(device="host") as board:
        before = board.weights()
        first = train(board)
        board.reset()
        restored = board.weights()
        second = train(board)
    assert all(np.array_equal(before[key], restored[key]) for key in before)
    assert all(np.array_equal(first[key], second[key]) for key in first)


@every_optimizer
def test_learning_rate_can_be_changed(rule) -> None:
    model = small_classifier()
    reference = Reference(model, SoftmaxLoss(), rule, CLASSIFIER_PLAN)
    with convert(model, SoftmaxLoss(), rule, CLASSIFIER_PLAN).simulate(device="host") as board:
        before = board.weights()
        for index, sample in enumerate(samples(4)):
            if index == 2:
                board.set_learning_rate(0.25)
                reference.set_learning_rate(0.25)
            board.train_step(*sample)
            reference.train_step(*sample)
        after = board.weights()
    expected = {key: reference.weights()[key] - before[key] for key in reference.chosen}
    check_updates({key: after[key] - before[key] for key in expected}, expected, before)


@pytest.mark.qemu
@pytest.mark.slow
@every_optimizer
@every_task
def test_emulated_board_takes_the_same_steps(rule, task) -> None:
    make_model, loss, plan = task
    build = convert(make_model(), loss, replace(rule, batch_size=2), plan, target="cortex-m7")
    changes = []
    for device in ("host", "cortex-m7"):
        with build.simulate(device=device) as board:
            if isinstance(loss, PrototypeLoss):
                enroll(board)
            before = board.weights()
            for sample in samples(STEPS):
                board.train_step(*sample)
            changes.append({key: value - before[key] for key, value in board.weights().items()})
    check_updates(changes[1], changes[0], before)
