# SPDX-License-Identifier: Apache-2.0
"""Malformed models are refused while they are loaded, and the message says what was expected and received."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.tflite.op_params import Flag, Op, pack
from tt_tflm.tflite.writer import TfliteWriter
from tvm_passes.kernels.geometry import Window

from . import corpus
from .one_op import EVERY, OneOp, choice_words, floats, ints

WINDOW = Window(4, 4, 3, 4, 4, 5, 3, 3, 1, 1, 1, 1).attrs()
POOL_WINDOW = Window(4, 4, 3, 2, 2, 3, 2, 2, 2, 2, 0, 0).attrs()


def zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.float32)


def refused(model: OneOp, message: str) -> None:
    """The interpreter refuses the model with that text and the name of the op."""
    with pytest.raises(InputError) as error:
        model.run()
    assert f"TFLM refused the model: {model.op.tflite_name}: {message}" in str(error.value)
    assert "\n" not in str(error.value)


def word(model: OneOp, index: int, value: int) -> OneOp:
    """The model with one 32-bit word of its parameters replaced."""
    params = bytearray(model.params)
    params[4 * index : 4 * index + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
    return replace(model, params=bytes(params))


@pytest.fixture(scope="module")
def one_of_each() -> dict[Op, OneOp]:
    return {model.op: model for model in corpus.valid_models(1)}


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_parameters_of_another_length_version_or_op(one_of_each, op):
    model = one_of_each[op]
    for params in (model.params[:-4], model.params[:-1], model.params + bytes(4), model.params[:12]):
        expected = "expected parameters of the length that this version of the op has, "
        refused(replace(model, params=params), f"{expected}received {len(params)}")
    refused(word(model, 0, 0x464C5454), "expected parameters that begin with TTOP, received ")
    refused(word(model, 1, op << 16 | 1), "expected version 2 of the op's parameters, received 1")
    refused(word(model, 1, (op + 1) << 16 | 2), f"expected parameters of this op, received {op + 1}")
    refused(word(model, 4, 1 << 20), f"expected flags of this op alone, received {1 << 20}")


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_missing_tensors_and_other_types(one_of_each, op):
    model = one_of_each[op]
    inputs, outputs = len(model.inputs), len(model.outputs)
    fewer = replace(model, inputs=model.inputs[:-1], constants=model.constants - {inputs - 1})
    counts = f"expected {inputs} inputs and {outputs} outputs, received {inputs - 1} and {outputs}"
    refused(fewer, counts)
    for i, value in enumerate(model.inputs):
        with pytest.raises(InputError, match=r"TT_\w+: expected a tensor .*, received none"):
            replace(model, missing=frozenset({i})).run()
        other = np.zeros(value.shape, np.int32 if value.dtype == np.float32 else np.float32)
        with pytest.raises(InputError, match=r"TT_\w+: expected .* to be (int32|float32), received TfLiteType [12]"):
            model.with_inputs({i: other}).run()


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_outputs_of_another_size(one_of_each, op):
    model = one_of_each[op]
    for i, (shape, dtype) in enumerate(model.outputs):
        size = int(np.prod(shape))
        outputs = [*model.outputs]
        outputs[i] = (size + 1,), dtype
        with pytest.raises(InputError, match=rf"{op.tflite_name}: expected .*received "):
            replace(model, outputs=tuple(outputs)).run()


def grad_input(**changed) -> OneOp:
    fields = {"window": WINDOW, "stride": 28, "candidate": 0, "copies": 1, "low": 0.0, "high": 0.0} | changed
    inputs = (zeros(80), np.zeros((5, 28), np.float32), zeros(56), choice_words([((1, 3), 0)]), EVERY)
    constants = frozenset({1, 3})
    return OneOp(Op.CONV2D_GRAD_INPUT, pack(Op.CONV2D_GRAD_INPUT, **fields), inputs, (floats(48),), constants)


def with_choice(*words: int) -> OneOp:
    return grad_input().with_inputs({3: np.int32(words)})


def test_the_model_that_the_next_test_spoils_is_accepted():
    grad_input().run()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (grad_input(window=WINDOW | {"kh": 0}), "expected a window that fits its image, received 0x3, stride 1x1, "),
        (grad_input(window=WINDOW | {"H": 2**31 - 1}), "expected a window that fits its image, received 3x3, "),
        (grad_input(window=WINDOW | {"OH": 5}), "expected g to have 100 elements, received 80"),
        (grad_input(window=WINDOW | {"W": 5}), "expected dx to have 60 elements, received 48"),
        (grad_input(stride=30), "expected the stride of rows with a bias, received 30"),
        (grad_input(candidate=64), "expected a candidate from 0 to 63, received 64"),
        (grad_input(candidate=1), "expected choice to have at least 6 elements, received 5"),
        (grad_input(copies=0), "expected 1 to 4 copies, received 0"),
        (
            grad_input(copies=2),
            "expected an even offset that keeps the rows of candidate 0 inside the pool, received 0",
        ),
        (with_choice(2, 0, 3, 1, 5), "expected ascending channels below 5 for candidate 0, received 5 after 1"),
        (with_choice(2, 0, 3, -1, 2), "expected ascending channels below 5 for candidate 0, received -1 after -1"),
        (with_choice(6, 0, 3, 1, 2), "expected choice to name 0 to 5 channels of candidate 0, received 6"),
        (with_choice(2, 0, 4, 1, 2), "expected the channels of candidate 0 inside choice, received a list at 4"),
        (
            with_choice(2, 2, 3, 1, 2),
            "expected an even offset that keeps the rows of candidate 0 inside the pool, received 2",
        ),
        (
            grad_input().with_inputs({1: np.zeros((5, 27), np.float32)}),
            "expected base to have 140 elements, received 135",
        ),
        (grad_input().with_inputs({4: np.int32([1])}), "expected active to have 2 elements, received 1"),
    ],
)
def test_what_does_not_fit_a_convolution(model, message):
    refused(model, message)


CLIP = OneOp(Op.CLIP, pack(Op.CLIP, Flag.IN_PLACE, low=0.0, high=0.0), (zeros(4),))
ADAM = {
    "channels": 5,
    "stride": 28,
    "candidate": 0,
    "copies": 4,
    "block": 3,
    "learning_rate": 0.1,
    "momentum": 0.0,
    "beta_1": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-7,
}


def adam(**changed) -> OneOp:
    inputs = (zeros(224), choice_words([((1, 3), 0)]), zeros(1), np.zeros(3, np.int32), EVERY)
    return OneOp(Op.ADAM, pack(Op.ADAM, **ADAM | changed), inputs)


def grad_weights(flags: Flag, **changed) -> OneOp:
    fields = {"window": WINDOW, "stride": 28, "candidate": 0, "copies": 2, "block": 1, "scale": 1.0} | changed
    inputs = (zeros(48), zeros(80), zeros(112), choice_words([((1, 3), 0)]), EVERY)
    return OneOp(Op.CONV2D_GRAD_WEIGHTS, pack(Op.CONV2D_GRAD_WEIGHTS, flags, **fields), inputs)


def start(flags: Flag = Flag.NONE, **changed) -> OneOp:
    fields = {"candidates": 1, "copies": 1, "classes": 2, "batch_size": 1} | changed
    label = command = np.int32([0])
    base, control = np.zeros((2, 2), np.float32), np.zeros(3, np.int32)
    inputs = (label, command, choice_words([((1,), 0)]), control, zeros(2), base)
    return OneOp(Op.START, pack(Op.START, flags, **fields), inputs, (ints(2), ints(2)), frozenset({5}))


def prototype_loss(**changed) -> OneOp:
    fields = {"classes": 3, "elements": 2, "batch_size": 1, "temperature": 10.0} | changed
    inputs = (zeros(2), np.int32([0]), np.int32([0]), zeros(6), np.zeros(3, np.int32), zeros(2))
    outputs = (floats(1), floats(3), floats(2))
    return OneOp(Op.PROTOTYPE_LOSS, pack(Op.PROTOTYPE_LOSS, Flag.SEED, **fields), inputs, outputs)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(CLIP, constants=frozenset({0})), "expected y to be a tensor that can be written, received a constant"),
        (
            OneOp(Op.CLIP, pack(Op.CLIP, Flag.LOW | Flag.HIGH, low=2.0, high=1.0), (zeros(4),), (floats(4),)),
            "expected a lower bound not above the upper one, received 2.0",
        ),
        (
            OneOp(Op.SOFTMAX_GRAD, pack(Op.SOFTMAX_GRAD, classes=3), (zeros(4), zeros(4), EVERY), (floats(4),)),
            "expected classes that divide the elements of g, received 3",
        ),
        (
            OneOp(Op.CLIP_MASK, pack(Op.CLIP_MASK, low=0.0, high=0.0), (zeros(33), EVERY), (ints(1),)),
            "expected mask to have 2 elements, received 1",
        ),
        (
            OneOp(Op.SLICE, pack(Op.SLICE, outer=2, offset=4), (zeros(12), EVERY), (floats(6),)),
            "expected an offset inside x, received 4",
        ),
        (
            OneOp(Op.SLICE, pack(Op.SLICE, outer=2, offset=0), (zeros(5), EVERY), (floats(4),)),
            "expected a size of the outer axes that divides both tensors, received 2",
        ),
        (
            OneOp(
                Op.AVG_POOL_GRAD,
                pack(Op.AVG_POOL_GRAD, window=POOL_WINDOW | {"pt": 2}),
                (zeros(12), EVERY),
                (floats(48),),
            ),
            "expected a window that fits its image, received 2x2, stride 2x2, padding 2x0, from 4x4x3 to 2x2x3",
        ),
        (
            OneOp(Op.CHANNEL_DOT, pack(Op.CHANNEL_DOT), (zeros(6), zeros(6), EVERY), (floats(4),)),
            "expected a number of channels that divides the elements, received 4",
        ),
        (adam(beta_1=1.0), "expected a beta_1 in [0, 1), received 1.0"),
        (adam(epsilon=0.0), "expected a finite epsilon above 0, received 0.0"),
        (adam(learning_rate=float("nan")), "expected a finite learning rate of at least 0, received nan"),
        (adam(copies=2, block=1), "expected a copy for the rows and for each moment, received 2"),
        (adam(block=2), "expected a block of gradients after the moments, received 2"),
        (start(batch_size=0), "expected a batch of at least one sample, received 0"),
        (start(Flag.SEED | Flag.FISHER), "expected one of the flags FISHER and SEED at most, received 384"),
        (prototype_loss(batch_size=0), "expected a batch of at least one sample, received 0"),
        (prototype_loss().with_inputs({5: zeros(3)}), "expected seed to have 2 elements, received 3"),
        (adam(stride=27), "expected an even stride, received 27"),
        (adam().with_inputs({2: zeros(2)}), "expected rate to have 1 elements, received 2"),
        (grad_weights(Flag.NONE), "expected the flag BIAS or WEIGHTS, received 0"),
        (grad_weights(Flag.BIAS, block=2), "expected a block of the candidate's copies, received 2"),
        (grad_weights(Flag.BIAS, block=0), "expected the flags ACCUMULATE and RATE for block 0, the rows, received 8"),
        (grad_weights(Flag.BIAS, scale=float("inf")), "expected a finite scale, received inf"),
        (
            replace(grad_weights(Flag.BIAS, block=-1), outputs=(floats(56),)),
            "expected a constant choice of at least one channel for a gradient in a tensor of its own, received -1",
        ),
    ],
)
def test_what_else_does_not_fit(model, message):
    refused(model, message)


def test_a_tensor_that_is_written_is_a_tensor_of_its_own():
    writer = TfliteWriter()
    x = writer.add_tensor("x", (4,), "float32", variable=True)
    active = writer.add_tensor("active", (2,), "int32")
    writer.add_custom("TT_ACCUMULATE", [x, x, active], [], pack(Op.ACCUMULATE))
    with pytest.raises(
        InputError, match="TT_ACCUMULATE: expected acc to be a tensor of its own, received tensor 0 twice"
    ):
        TflmInterpreter(writer.finish([x, active], [x]))


def test_a_choice_that_changes_between_runs_is_checked_in_every_run():
    model = replace(with_choice(2, 0, 3, 1, 5), constants=frozenset({1}))
    with pytest.raises(DeviceError, match="TT_CONV2D_GRAD_INPUT: expected ascending channels below 5"):
        model.run()


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf])
def test_a_learning_rate_that_is_none(rate):
    model = adam().with_inputs({2: np.float32([rate])})
    with pytest.raises(DeviceError, match="TT_ADAM: expected a finite learning rate of at least 0, received"):
        model.run()
