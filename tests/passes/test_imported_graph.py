# SPDX-License-Identifier: Apache-2.0
"""Reading operands, shapes and constants of an imported graph."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax.dpl import wildcard

from tvm_passes.imported_graph import (
    ImportedGraph,
    UnsupportedGraphError,
    Value,
    arguments_of,
    clip_bounds,
    conv_rows,
    core_shape,
    per_channel,
    shape_of,
)
from tvm_passes.ops import OPS

from .imported import constant, conv2d, imported

X = relax.Var("x", relax.TensorType((1, 5, 7, 4), "float32"))
Y = relax.Var("y", relax.TensorType((1, 5, 7, 4), "float32"))


def test_operands_are_those_of_calls_and_tuples():
    assert [a.same_as(X) for a in arguments_of(X)] == [True]
    assert [str(a.name) for a in arguments_of(relax.op.add(X, Y))] == ["x", "y"]
    assert [str(a.name) for a in arguments_of(relax.op.concat([X, Y], 1))] == ["x", "y"]
    assert [str(a.name) for a in arguments_of(relax.Tuple([X, relax.Tuple([Y])]))] == ["x", "y"]
    assert arguments_of(relax.ShapeExpr([1])) == []


def test_shapes_are_plain_numbers():
    assert shape_of(X) == (1, 5, 7, 4)
    assert Value(X, (1, 5, 7, 4)).elements == 140


@pytest.mark.parametrize(
    ("shape", "core"), [((1, 1, 4), (4,)), ((1, 5, 1, 4), (5, 1, 4)), ((1, 1), ()), ((), ()), ((3,), (3,))]
)
def test_leading_ones_are_no_part_of_the_core(shape, core):
    assert core_shape(shape) == core


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((), 4, True),
        ((1, 1), 4, True),
        ((4,), 4, True),
        ((1, 1, 4), 4, True),
        ((4, 1), 4, False),
        ((2, 2), 4, False),
        ((3,), 4, False),
    ],
)
def test_constants_per_channel_lie_along_the_last_axis(shape, channels, expected):
    assert per_channel(np.zeros(shape), channels) == expected


def test_infinite_bounds_are_none():
    assert clip_bounds(relax.op.clip(X, 0.0, 6.0)) == (0.0, 6.0)
    assert clip_bounds(relax.op.clip(X, -1.0, float("inf"))) == (-1.0, None)
    assert clip_bounds(relax.op.clip(X, -float("inf"), 1.0)) == (None, 1.0)


def test_rows_go_by_output_channel_then_taps_then_input_channel():
    weights = constant(2, 3, 4, 5)
    rows = conv_rows(conv2d(X, weights))
    assert rows.shape == (5, 24)
    assert np.array_equal(rows[3].reshape(2, 3, 4), weights.value.numpy()[..., 3])


def test_depthwise_rows_are_the_taps():
    weights = constant(2, 3, 8, 1)
    rows = conv_rows(conv2d(X, weights, groups=4, kernel_layout="HWOI"))
    assert rows.shape == (8, 6)
    assert np.array_equal(rows[5].reshape(2, 3), weights.value.numpy()[:, :, 5, 0])


def test_rows_of_a_group_have_its_channels():
    weights = constant(2, 3, 2, 6)
    rows = conv_rows(conv2d(X, weights, groups=2))
    assert rows.shape == (6, 12)
    assert np.array_equal(rows[4].reshape(2, 3, 2), weights.value.numpy()[..., 4])


@pytest.mark.parametrize("layout", ["HWOI", "IOHW"])
def test_rows_of_a_transposed_convolution_go_by_output_channel_too(layout):
    sizes = {"H": 2, "W": 3, "O": 5, "I": 4}
    weights = constant(*(sizes[axis] for axis in layout))
    rows = conv_rows(relax.op.nn.conv2d_transpose(X, weights, data_layout="NHWC", kernel_layout=layout))
    assert rows.shape == (5, 24)
    taken = np.moveaxis(weights.value.numpy(), [layout.index(axis) for axis in "OHWI"], range(4))
    assert np.array_equal(rows[3].reshape(2, 3, 4), taken[3])


def test_weights_that_are_computed_are_refused():
    with pytest.raises(UnsupportedGraphError, match=r"^expected a convolution with constant weights, received two act"):
        conv_rows(conv2d(X, Y))


def test_the_error_is_a_value_error_that_survives_tvm():
    assert issubclass(UnsupportedGraphError, ValueError)


# -------------------------------------------------------------- who reads what


def _graph(body) -> ImportedGraph:
    return ImportedGraph(imported((1, 5, 7, 4), body)["main"])


def test_consumers_and_the_result_are_known():
    graph = _graph(lambda emit, x: emit(relax.op.add(emit(relax.op.tanh(x)), x)))
    tanh, add, _ = graph.bindings
    (image,) = (a for a in tanh.value.args)
    assert [b.var.same_as(v) for b, v in zip(graph.consumers[image], (tanh.var, add.var), strict=True)] == [True, True]
    assert str(graph.result.name) == "gv"


def test_an_only_consumer_is_the_one_reader_of_that_kind():
    def body(emit, x):
        once, twice = emit(relax.op.tanh(x)), emit(relax.op.sigmoid(x))
        return emit(relax.op.add(emit(relax.op.multiply(once, twice)), twice))

    graph = _graph(body)
    once, twice, product, _, output = graph.bindings
    assert graph.only_consumer(once.var, "multiply").var.same_as(product.var)
    assert graph.only_consumer(once.var, "add") is None
    assert graph.only_consumer(twice.var, "multiply") is None
    assert graph.only_consumer(output.var, "add") is None


@pytest.mark.parametrize(("shape", "found"), [((4,), True), ((1, 1, 1, 4), True), ((), True), ((7, 1), False)])
def test_a_bias_is_an_addition_of_constants_per_channel(shape, found):
    graph = _graph(lambda emit, x: emit(relax.op.add(emit(conv2d(x, constant(1, 1, 4, 4))), constant(*shape))))
    bias = graph.bias(graph.bindings[0], 4)
    assert (bias is not None) == found
    if found:
        assert bias[0].var.same_as(graph.bindings[1].var)
        assert np.array_equal(bias[1], np.broadcast_to(constant(*shape).value.numpy().ravel(), (4,)))


def test_the_sum_of_two_activations_is_no_bias():
    graph = _graph(lambda emit, x: emit(relax.op.add(emit(conv2d(x, constant(1, 1, 4, 4))), x)))
    assert graph.bias(graph.bindings[0], 4) is None


def _hard_swish(emit, x, shift=3.0, high=6.0, scale=1 / 6):
    clip = emit(relax.op.clip(emit(relax.op.add(x, relax.const(np.float32(shift)))), 0.0, high))
    return clip, emit(relax.op.multiply(clip, relax.const(np.float32(scale))))


def _matches(body) -> tuple[list, list]:
    """What the pattern of the hard swish finds in a graph, and the variables of the graph."""
    graph, operand = _graph(body), wildcard()
    return list(graph.matches(OPS["hard_swish"].pattern(operand), operand)), [b.var for b in graph.bindings]


@pytest.mark.parametrize(
    ("shift", "high", "scale", "found"),
    [(3.0, 6.0, 1 / 6, True), (2.0, 6.0, 1 / 6, False), (3.0, 5.0, 1 / 6, False), (3.0, 6.0, 0.2, False)],
)
@pytest.mark.parametrize("first", [True, False], ids=["x_first", "gate_first"])
def test_a_pattern_is_known_by_its_constants(shift, high, scale, found, first):
    def body(emit, x):
        _, gate = _hard_swish(emit, x, shift, high, scale)
        return emit(relax.op.multiply(*((x, gate) if first else (gate, x))))

    matches, variables = _matches(body)
    assert len(matches) == found
    for result, source, between in matches:
        assert result.same_as(variables[3])
        assert str(source.name) == "x"
        assert between == set(variables[:3])


def test_what_is_read_besides_is_no_part_of_a_pattern():
    def body(emit, x):
        clip, gate = _hard_swish(emit, x)
        return emit(relax.op.add(emit(relax.op.multiply(x, gate)), clip))

    assert _matches(body)[0] == []
