# SPDX-License-Identifier: Apache-2.0
"""Both losses against TensorFlow, in the ordinary case and where a naive formula breaks."""

import keras
import numpy as np
import pytest

import tt_tflm

from .boards import check_forward, check_updates, convert
from .fixed_nets import (
    CLASSES,
    CLASSIFIER_PLAN,
    EMBEDDING_ELEMENTS,
    EMBEDDING_PLAN,
    small_classifier,
    small_embedding,
    small_inputs,
)
from .reference import NOT_ENROLLED_SCORE, SGD, PrototypeLoss, Reference, SoftmaxLoss

STEPS = 10


def train_both(board, reference: Reference, labels: list[int]) -> None:
    for index, x in enumerate(small_inputs(STEPS, seed=5)):
        label = labels[index % len(labels)]
        expected = reference.train_step(x, label)
        assert board.train_step(x, label) == pytest.approx(expected, rel=1e-4, abs=1e-5)
        check_forward(board.predict(x), reference.predict(x))


@pytest.mark.parametrize("ending", ["logits", "softmax", "layer"])
def test_softmax_loss_over_ten_steps(ending: str) -> None:
    model = small_classifier(ending)
    reference = Reference(model, SoftmaxLoss(), SGD(0.05), CLASSIFIER_PLAN)
    with convert(model, SoftmaxLoss(), SGD(0.05), CLASSIFIER_PLAN).simulate(device="host") as board:
        train_both(board, reference, [0, 1, 2])


def test_softmax_loss_is_stable_at_huge_logits() -> None:
    model = small_classifier("softmax")
    model.get_layer("logits").bias.assign([300.0, 0.0, -300.0])
    reference = Reference(model, SoftmaxLoss(), SGD(1.0), {"logits": "all"})
    x = small_inputs(1)[0]
    with convert(model, SoftmaxLoss(), SGD(1.0), {"logits": "all"}).simulate(device="host") as board:
        before = board.weights()
        assert board.train_step(x, 2) == pytest.approx(reference.train_step(x, 2), rel=1e-5)
        after = board.weights()
    expected = {key: reference.weights()[key] - before[key] for key in reference.chosen}
    check_updates({key: after[key] - before[key] for key in expected}, expected, before)


@pytest.mark.parametrize("temperature", [1.0, 10.0, 64.0])
def test_prototype_loss_over_ten_steps(temperature: float) -> None:
    model = small_embedding()
    loss = PrototypeLoss(CLASSES, temperature)
    reference = Reference(model, loss, SGD(0.02), EMBEDDING_PLAN)
    with convert(model, loss, SGD(0.02), EMBEDDING_PLAN).simulate(device="host") as board:
        for index, x in enumerate(small_inputs(5)):
            board.enroll(x, index % CLASSES)
            reference.enroll(x, index % CLASSES)
            check_forward(board.embedding(x), reference.embedding(x))
        assert board.embedding(x).shape == (EMBEDDING_ELEMENTS,)
        train_both(board, reference, [0, 1, 2])


def test_class_without_samples_takes_no_part() -> None:
    model = small_embedding()
    loss = PrototypeLoss(4, temperature=10.0)
    reference = Reference(model, loss, SGD(0.02), EMBEDDING_PLAN)
    with convert(model, loss, SGD(0.02), EMBEDDING_PLAN).simulate(device="host") as board:
        for x, label in zip(small_inputs(2), (3, 1), strict=True):
            board.enroll(x, label)
            reference.enroll(x, label)
        train_both(board, reference, [1, 3])
        assert (board.predict(small_inputs(1)[0])[[0, 2]] == NOT_ENROLLED_SCORE).all()
        with pytest.raises(tt_tflm.errors.DeviceError, match="enrol"):
            board.train_step(small_inputs(1)[0], 0)


def test_enrolling_again_after_training_uses_the_trained_weights() -> None:
    model = small_embedding()
    loss = PrototypeLoss(2, temperature=10.0)
    reference = Reference(model, loss, SGD(0.05), EMBEDDING_PLAN)
    inputs = small_inputs(4)
    with convert(model, loss, SGD(0.05), EMBEDDING_PLAN).simulate(device="host") as board:
        for each in (board, reference):
            each.enroll(inputs[0], 0)
            each.enroll(inputs[1], 1)
            each.train_step(inputs[2], 0)
            each.enroll(inputs[2], 0)
        check_forward(board.predict(inputs[3]), reference.predict(inputs[3]))


def test_reset_forgets_prototypes() -> None:
    loss = PrototypeLoss(2, temperature=10.0)
    with convert(small_embedding(), loss, SGD(0.05), EMBEDDING_PLAN).simulate(device="host") as board:
        x = small_inputs(1)[0]
        with pytest.raises(tt_tflm.errors.DeviceError, match="enrol"):
            board.predict(x)
        board.enroll(x, 0)
        assert board.predict(x)[0] == pytest.approx(10.0, rel=1e-5)
        board.reset()
        with pytest.raises(tt_tflm.errors.DeviceError, match="enrol"):
            board.predict(x)


def test_embedding_of_zero_length_keeps_numbers_finite() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="embedding")])
    model.get_layer("embedding").kernel.assign([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    loss = PrototypeLoss(2, temperature=10.0)
    plan = {"embedding": "all"}
    rate = 2.0**-20
    reference = Reference(model, loss, SGD(rate), plan)
    zero = np.zeros(3, np.float32)
    with convert(model, loss, SGD(rate), plan).simulate(device="host") as board:
        for each in (board, reference):
            each.enroll(np.array([1.0, 0.0, 0.0], np.float32), 0)
            each.enroll(np.array([0.0, 1.0, 0.5], np.float32), 1)
        assert board.predict(zero).tolist() == [0.0, 0.0]
        before = board.weights()
        assert board.train_step(zero, 1) == pytest.approx(reference.train_step(zero, 1), rel=1e-6)
        after = board.weights()
    expected = {key: reference.weights()[key] - before[key] for key in reference.chosen}
    check_updates({key: after[key] - before[key] for key in expected}, expected, before)
