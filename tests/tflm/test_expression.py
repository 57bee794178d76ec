# SPDX-License-Identifier: Apache-2.0
"""Scalar expressions outside the C backend: as programs of TT_EXPRESSION and as operators of TFLite, against numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from passes.trials import check_close
from tvm import tirx

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.tflite.expression import FUNCTIONS, Instruction, Program, as_operators, program
from tt_tflm.tflite.graph import TfliteGraph
from tt_tflm.tflite.op_params import Flag, Op, pack
from tvm_passes.kernel import OUT, Kernel, Param
from tvm_passes.ops import OPS
from tvm_passes.ops import Op as Operation
from tvm_passes.print_c import INTRINSICS

from .one_op import EVERY, NONE, OneOp, floats

N = 37  # two blocks and a part of one
A, B = (np.random.default_rng(seed).uniform(-3, 3, N).astype(np.float32) for seed in (1, 2))

# Every instruction is in one of them; the operands are read in every order.
EXPRESSIONS: dict[str, tuple[Callable, Callable]] = {
    "polynomial": (lambda a, b: (a - b * 2.0) * (b - a) + 0.5, lambda a, b: (a - b * 2) * (b - a) + 0.5),
    "quotient": (lambda a, b: b / (tirx.abs(a) + 1.0), lambda a, b: b / (np.abs(a) + 1)),
    "bounds": (lambda a, b: tirx.max(tirx.min(a, b), -1.0), lambda a, b: np.maximum(np.minimum(a, b), -1)),
    "choice": (
        lambda a, b: tirx.Select(a > b, a, tirx.Select(a < -1.0, b, 7.0)),
        lambda a, b: np.where(a > b, a, np.where(a < -1, b, 7)),
    ),
    "edges": (
        lambda a, b: tirx.Select(a >= a, b, a) + tirx.Select(b <= b, a * a, b),
        lambda a, b: b + a * a,
    ),
    "functions": (
        lambda a, b: tirx.log(tirx.exp(a) + 1.0) + tirx.sqrt(tirx.abs(b)),
        lambda a, b: np.log(np.exp(a) + 1) + np.sqrt(np.abs(b)),
    ),
    "sigmoids": (lambda a, b: tirx.tanh(a) * tirx.sigmoid(b), lambda a, b: np.tanh(a) / (1 + np.exp(-b))),
}


def kernel_of(name: str) -> Kernel:
    return Kernel(name, (Param("a", N), Param("b", N), Param("y", N, OUT)), {}, ("a", "b"))


@pytest.fixture
def operation(request: pytest.FixtureRequest):
    """The name of an elementwise operation of that expression, or of one without."""
    name, scalar = request.param
    OPS.register(Operation(name, scalar=scalar and (lambda _kernel, *operands: scalar(*operands))))
    yield name
    OPS.remove(name)


each = pytest.mark.parametrize(
    "operation", [(n, e[0]) for n, e in EXPRESSIONS.items()], ids=list(EXPRESSIONS), indirect=True
)


@each
def test_the_op_computes_the_expression(operation):
    expected, found = EXPRESSIONS[operation][1](A, B), program(kernel_of(operation))
    check_close(
        OneOp(Op.EXPRESSION, pack(Op.EXPRESSION, expression=found), (A, B), (floats(N),)).run().outputs[0],
        expected,
        operation,
    )
    flags = Flag.ACTIVE | Flag.IN_PLACE
    in_place = OneOp(Op.EXPRESSION, pack(Op.EXPRESSION, flags, expression=found), (A, B, EVERY))
    check_close(in_place.run().inputs[0], expected, f"{operation} in place")
    untouched = in_place.with_inputs({2: NONE}).run()
    assert np.array_equal(untouched.inputs[0], A)


@each
def test_operators_of_tflite_compute_the_expression(operation):
    graph = TfliteGraph(placed=False)
    operands = [graph.tensor(name, (1, N)) for name in "ab"]
    y = as_operators(graph, kernel_of(operation), operands, lambda shape: graph.tensor("y", shape))
    lite = tf.lite.Interpreter(model_content=graph.finish(operands, [y], operation))
    lite.allocate_tensors()
    for place, value in zip(lite.get_input_details(), (A, B), strict=True):
        lite.set_tensor(place["index"], value[None])
    lite.invoke()
    result = lite.get_tensor(lite.get_output_details()[0]["index"])
    check_close(result.ravel(), EXPRESSIONS[operation][1](A, B), operation)


def test_every_instruction_is_tried():
    tried: set[int] = set()
    for name, (scalar, _) in EXPRESSIONS.items():
        OPS.register(Operation(name, scalar=lambda _kernel, *operands, s=scalar: s(*operands)))
        tried |= set(program(kernel_of(name)).code)
        OPS.remove(name)
    assert {code for code in tried if code < 64} == set(Instruction)


def test_both_backends_know_the_same_functions():
    assert {name for name in FUNCTIONS if name.startswith("tirx.")} == set(INTRINSICS)


def _power(a, n):
    return a if n == 1 else a * _power(a, n - 1)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            ("long", lambda a, _: sum((a * (i + 0.5) for i in range(9)), a)),
            "expected an expression of at most 32 steps, .* received one of 37, 9, 2 and 3;",
        ),
        (("deep", lambda a, _: _power(a, 9)), "8 values at once, received one of 17, 0, 2 and 9;"),
        (("unknown", lambda a, _: tirx.erf(a)), "received tirx.erf;"),
        (("none", None), "expected .* or a scalar expression, received an operation of the C backend alone;"),
    ],
    indirect=["operation"],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_the_op_cannot_compute_is_refused_in_one_line(operation, message):
    with pytest.raises(UnsupportedLayerError, match=message) as error:
        program(kernel_of(operation))
    assert str(error.value).startswith(f"operation '{operation}' in TensorFlow Lite: ")
    assert "\n" not in str(error.value)


def expression_models() -> list[OneOp]:
    """Valid models, to mutate."""
    found = Program(2, bytes([64, 65, 0, 128, 2, 65, 64, 7, 64, 65, 10, 4, 16]), (0.5,))
    plain = OneOp(Op.EXPRESSION, pack(Op.EXPRESSION, expression=found), (A, B), (floats(N),))
    guarded = pack(Op.EXPRESSION, Flag.ACTIVE, expression=found)
    in_place = pack(Op.EXPRESSION, Flag.ACTIVE | Flag.IN_PLACE, expression=found)
    return [
        plain,
        OneOp(Op.EXPRESSION, in_place, (A, B, EVERY)),
        OneOp(Op.EXPRESSION, guarded, (A, B, EVERY), (floats(N),)),
    ]


@pytest.mark.parametrize(
    "code",
    [
        b"",
        bytes([64]) * 2,  # two values left
        bytes([64, 0]),  # a sum of one
        bytes([11]),
        bytes([64, 65, 10]),
        bytes([64]) * 9 + bytes([0]) * 8,  # too deep
        bytes([17]),
        bytes([66]),  # an operand that there is not
        bytes([136]),  # a constant that there is not
    ],
)
def test_a_program_that_does_not_leave_one_value_is_refused(code):
    model = replace(expression_models()[0], params=pack(Op.EXPRESSION, expression=Program(2, code, ())))
    with pytest.raises(
        InputError, match=rf"TT_EXPRESSION: expected an expression that leaves one value, received {len(code)}"
    ):
        model.run()
