# SPDX-License-Identifier: Apache-2.0
"""What the loss ops do for commands that want no loss. Losses and gradients are compared in test_ops.py."""

import numpy as np
import pytest

from tt_tflm.errors import DeviceError
from tt_tflm.tflite.op_params import Command, Flag, Op, pack

from .one_op import OneOp, floats

EMBEDDING = np.float32([3, 4])
SUMS = np.float32([[6, 8], [0, 0], [-4, 3]])
COUNTS = np.int32([2, 0, 1])


SEED = np.float32([0.5, -0.25])
TARGET = np.float32([0, 1])
BATCH_SIZE = 3


def prototype(command: int, label: int = 0, embedding=EMBEDDING, sums=SUMS, counts=COUNTS, seed=SEED) -> OneOp:
    params = pack(Op.PROTOTYPE_LOSS, Flag.SEED, classes=3, elements=2, batch_size=BATCH_SIZE, temperature=10.0)
    inputs = (embedding, np.int32([label]), np.int32([command]), sums, counts, seed)
    return OneOp(Op.PROTOTYPE_LOSS, params, inputs, (floats(1), floats(3), floats(2)))


def softmax(command: int, label: int = 0, logits: tuple[float, ...] = (1, 2, 3)) -> OneOp:
    params = pack(Op.SOFTMAX_CROSS_ENTROPY, classes=3, elements=3, batch_size=1, temperature=0.0)
    inputs = (np.float32(logits), np.int32([label]), np.int32([command]))
    return OneOp(Op.SOFTMAX_CROSS_ENTROPY, params, inputs, (floats(1), floats(3)))


def test_predicting_gives_scores_and_no_loss():
    loss, scores, _ = prototype(Command.PREDICT, label=-5).run().outputs
    lowest = np.finfo(np.float32).min
    assert np.isnan(loss[0])
    assert scores == pytest.approx([10, lowest, 0])


@pytest.mark.parametrize("command", [Command.PREDICT, Command.ACCUMULATE, Command.UPDATE])
def test_before_any_sample_is_enrolled_scores_are_the_lowest(command):
    loss, scores, _ = prototype(command, counts=np.zeros(3, np.int32)).run().outputs
    assert np.isnan(loss[0])
    assert np.array_equal(scores, np.full(3, np.finfo(np.float32).min, np.float32))


def test_enrolling_adds_the_embedding_to_its_class():
    result = prototype(Command.ENROLL, label=1).run(times=2)
    assert result.inputs[3].tolist() == [[6, 8], [6, 8], [-4, 3]]
    assert result.inputs[4].tolist() == [2, 2, 1]
    assert result.outputs[1] == pytest.approx([10, 10, 0], abs=1e-6)


def test_training_changes_no_prototype():
    result = prototype(Command.TRAIN, label=2).run()
    assert np.array_equal(result.inputs[3], SUMS)
    assert np.array_equal(result.inputs[4], COUNTS)


def test_a_seed_stands_for_the_gradient_of_a_loss_and_is_divided_by_the_batch_later():
    result = prototype(Command.ACCUMULATE, label=-5).run()
    loss, scores, g = result.outputs
    assert np.isnan(loss[0])
    assert scores == pytest.approx([10, np.finfo(np.float32).min, 0])
    assert g.tolist() == [1.5, -0.75]
    assert np.array_equal(result.inputs[3], SUMS)


def test_an_update_takes_whatever_the_other_tensors_hold():
    loss, scores, _ = (
        prototype(Command.UPDATE, label=-5, embedding=EMBEDDING * np.nan, seed=SEED * np.nan).run().outputs
    )
    assert np.isnan(loss[0])
    assert np.array_equal(scores, np.full(3, np.finfo(np.float32).min, np.float32))


def test_a_seed_counts_for_no_other_command():
    assert np.isfinite(prototype(Command.TRAIN, seed=SEED * np.nan).run().outputs[0]).all()


def test_softmax_without_a_loss():
    result = softmax(Command.PREDICT, label=77).run()
    assert np.isnan(result.outputs[0][0])


def of_build(command: int, label=TARGET, flags: Flag = Flag.VECTOR, loss: int = 1) -> OneOp:
    """A loss of the build's, of an output of two elements."""
    params = pack(Op.LOSS, flags, elements=2, label_elements=label.size, loss=loss)
    outputs = (floats(1),) if flags & Flag.IN_PLACE else (floats(1), floats(2))
    return OneOp(Op.LOSS, params, (np.float32([1, 3]), label, np.int32([command])), outputs)


def test_a_loss_of_the_build_is_called_where_one_is_wanted():
    assert np.isnan(of_build(Command.PREDICT).run().outputs[0][0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (of_build(Command.TRAIN), "TT_LOSS: expected the loss that the model was made with, received another build's"),
        (softmax(Command.TRAIN, label=3), "TT_SOFTMAX_CROSS_ENTROPY: .*label"),
        (softmax(Command.TRAIN, logits=(1, np.nan, 2)), "TT_SOFTMAX_CROSS_ENTROPY: .*NaN"),
        (prototype(Command.TRAIN, label=1), "TT_PROTOTYPE_LOSS: .*enrolled"),
        (prototype(Command.TRAIN, label=-1), "TT_PROTOTYPE_LOSS: .*label"),
        (prototype(Command.ACCUMULATE, seed=np.float32([1, np.nan])), "TT_PROTOTYPE_LOSS: .*NaN"),
        (prototype(Command.ENROLL, label=3), "TT_PROTOTYPE_LOSS: .*label"),
        (prototype(Command.ENROLL, embedding=np.float32([1, np.inf])), "TT_PROTOTYPE_LOSS: .*NaN"),
        (prototype(Command.PREDICT, sums=SUMS * np.nan), "TT_PROTOTYPE_LOSS: .*NaN"),
    ],
)
def test_what_has_no_loss_is_refused_with_its_reason(model, message):
    with pytest.raises(DeviceError, match=message):
        model.run()
