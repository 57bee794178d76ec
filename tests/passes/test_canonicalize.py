# SPDX-License-Identifier: Apache-2.0
"""Imported operators as declared kernels: which kernels, with which geometry and rows, and the same values as TVM's own
compiler gives; and one clear line for what has no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import tvm
from tvm import relax

from tvm_passes.canonicalize import Canonicalize
from tvm_passes.imported_graph import UnsupportedGraphError
from tvm_passes.kernel import row_length, steps_of
from tvm_passes.plan_arena import PlanArena

from .compiled import Rows
from .imported import Body, constant, conv2d, imported, run_imported
from .planned import Program
from .programs import kernels_of, lines_of, params_of
from .trials import check_close, normal

op, nn = relax.op, relax.op.nn
IMAGE = (1, 5, 7, 4)


@dataclass(frozen=True)
class Graph:
    """An imported graph, the calls it becomes, and attributes of the last of them."""

    shape: tuple[int, ...]
    body: Body
    lines: Sequence[str]
    attrs: dict[str, object] | None = None


def _constant(*values: float) -> relax.Expr:
    return relax.const(np.float32(values))


def _scalar(value: float) -> relax.Expr:
    return relax.const(np.float32(value))


def _hard_swish(emit, x):
    gate = emit(op.clip(emit(op.add(x, _scalar(3))), 0.0, 6.0))
    return emit(op.multiply(x, emit(op.multiply(gate, _scalar(1 / 6)))))


def _bias_and_relu6(emit, x):
    padded = emit(nn.pad(x, [0, 0, 1, 2, 0, 1, 0, 0]))
    y = emit(op.add(emit(conv2d(padded, constant(3, 2, 4, 6), (2, 1))), constant(6, seed=1)))
    return emit(op.clip(y, 0.0, 6.0))


def _padded_and_dilated(emit, x):
    padded = emit(nn.pad(x, [0, 0, 1, 2, 0, 2, 0, 0]))
    y = emit(conv2d(padded, constant(3, 3, 4, 6), padding=[1, 1, 0, 1], dilation=[2, 3]))
    return emit(nn.relu(emit(op.add(y, constant(6, seed=1)))))


def conv2d_transpose(x, weights, **options):
    return nn.conv2d_transpose(x, weights, data_layout="NHWC", kernel_layout="HWOI", **options)


def _padded_and_transposed(emit, x):
    padded = emit(nn.pad(x, [0, 0, 1, 0, 0, 0, 0, 0]))
    options = {"strides": (2, 3), "padding": (0, 2, 1, 1), "output_padding": (1, 0)}
    y = emit(conv2d_transpose(padded, constant(2, 4, 3, 4), **options))
    return emit(nn.relu(emit(op.add(y, constant(3, seed=1)))))


def _shared_pad(emit, x):
    padded = emit(nn.pad(x, [0, 0, 1, 1, 1, 1, 0, 0]))
    a = emit(conv2d(padded, constant(3, 3, 4, 4)))
    return emit(op.add(emit(nn.max_pool2d(padded, (3, 3), layout="NHWC")), a))


def _dense(emit, x):
    flat = emit(op.reshape(x, (1, 140)))
    weights = emit(op.permute_dims(constant(5, 140), [1, 0]))
    return emit(nn.relu(emit(op.add(emit(op.matmul(flat, weights)), constant(5, seed=1)))))


def _dense_over_positions(emit, x):
    return emit(op.matmul(emit(op.reshape(x, (1, 35, 4))), emit(op.permute_dims(constant(3, 4), [1, 0]))))


def _line(emit, x):
    wide = emit(op.expand_dims(x, 1))
    y = emit(conv2d(wide, constant(1, 3, 4, 5), (1, 2), padding=[0, 1, 0, 0]))
    return emit(op.squeeze(emit(op.add(y, constant(5, seed=1))), 1))


def _gate(emit, x):
    mean = emit(op.mean(x, [1, 2], keepdims=True))
    return emit(op.multiply(x, emit(op.sigmoid(mean))))


def _two_readers(emit, x):
    y = emit(conv2d(x, constant(1, 1, 4, 4)))
    return emit(op.add(emit(nn.relu(y)), y))


GRAPHS = {
    "conv_bias_clip": Graph(
        IMAGE,
        _bias_and_relu6,
        ["%0 = conv2d(x, rows_0)"],
        {
            **dict(H=5, W=7, C=4, OH=3, OW=7, O=6, kh=3, kw=2, sh=2, sw=1, pt=1, pl=0),
            **dict(stride=26, low=0.0, high=6.0),
        },
    ),
    "conv_alone": Graph(IMAGE, lambda e, x: e(conv2d(x, constant(2, 3, 4, 3))), ["%0 = conv2d(x, rows_0)"]),
    "conv_padding_of_its_own": Graph(
        IMAGE,
        lambda e, x: e(conv2d(x, constant(3, 3, 4, 3), 2, padding=[0, 1, 1, 2])),
        ["%0 = conv2d(x, rows_0)"],
        {"pt": 0, "pl": 1, "OH": 2, "OW": 4},
    ),
    "conv_relu": Graph(
        IMAGE, lambda e, x: e(nn.relu(e(conv2d(x, constant(1, 1, 4, 3))))), ["%0 = conv2d(x, rows_0)"], {"low": 0.0}
    ),
    "conv_of_two_readers": Graph(IMAGE, _two_readers, ["%0 = conv2d(x, rows_0)", "%1 = clip(%0)", "%2 = add(%1, %0)"]),
    "depthwise": Graph(
        IMAGE,
        lambda e, x: e(conv2d(x, constant(3, 3, 4, 1), 2, groups=4, kernel_layout="HWOI")),
        ["%0 = depthwise_conv2d(x, rows_0)"],
        {"O": 4, "stride": 10},
    ),
    "depthwise_multiplier": Graph(
        IMAGE,
        lambda e, x: e(op.add(e(conv2d(x, constant(3, 2, 8, 1), groups=4, kernel_layout="HWOI")), constant(8))),
        ["%0 = depthwise_conv2d(x, rows_0)"],
        {"C": 4, "O": 8, "stride": 8},
    ),
    "depthwise_dilated": Graph(
        IMAGE,
        lambda e, x: e(conv2d(x, constant(2, 3, 4, 1), (1, 2), groups=4, kernel_layout="HWOI", dilation=[3, 2])),
        ["%0 = depthwise_conv2d(x, rows_0)"],
        dict(sh=1, sw=2, dh=3, dw=2, OH=2, OW=2, stride=8),
    ),
    "conv_padded_and_dilated": Graph(
        IMAGE, _padded_and_dilated, ["%0 = conv2d(x, rows_0)"], dict(pt=2, pl=1, dh=2, dw=3, OH=5, OW=5, low=0.0)
    ),
    "conv_of_one_tap_dilated": Graph(
        IMAGE, lambda e, x: e(conv2d(x, constant(1, 3, 4, 3), dilation=[4, 2])), ["%0 = conv2d(x, rows_0)"], {"dw": 2}
    ),
    "conv_grouped": Graph(
        IMAGE,
        lambda e, x: e(op.add(e(conv2d(x, constant(3, 2, 2, 6), 2, groups=2)), constant(6))),
        ["%0 = conv2d(x, rows_0)"],
        {"C": 4, "O": 6, "groups": 2, "stride": 14},
    ),
    "conv_of_a_group_for_each_channel": Graph(
        IMAGE,
        lambda e, x: e(conv2d(x, constant(3, 2, 1, 8), groups=4)),
        ["%0 = depthwise_conv2d(x, rows_0)"],
        {"C": 4, "O": 8, "stride": 8},
    ),
    "transposed": Graph(
        IMAGE,
        _padded_and_transposed,
        ["%0 = pad2d(x)", "%1 = conv2d_transpose(%0, rows_0)"],
        dict(H=6, W=7, C=4, OH=12, OW=19, O=3, kh=2, kw=4, sh=2, sw=3, pt=0, pl=2, stride=34, low=0.0),
    ),
    "dense": Graph(
        IMAGE, _dense, ["%0 = conv2d(x, rows_0)"], dict(H=1, W=1, C=140, OH=1, OW=1, O=5, stride=142, low=0.0)
    ),
    "dense_over_positions": Graph(
        IMAGE, _dense_over_positions, ["%0 = conv2d(x, rows_0)"], dict(H=1, W=35, C=4, OW=35, O=3)
    ),
    "line": Graph((1, 9, 4), _line, ["%0 = conv2d(x, rows_0)"], dict(H=1, W=9, kh=1, kw=3, sh=1, sw=2, pl=1, OW=4)),
    "pad_of_two_readers": Graph(
        IMAGE, _shared_pad, ["%0 = pad2d(x)", "%1 = conv2d(%0, rows_0)", "%2 = max_pool(%0)", "%3 = add(%2, %1)"]
    ),
    "pad_at_the_end": Graph(
        IMAGE, lambda e, x: e(nn.pad(x, [0, 0, 1, 2, 3, 0, 0, 0])), ["%0 = pad2d(x)"], dict(OH=8, OW=10, pt=1, pl=3)
    ),
    "relu": Graph(IMAGE, lambda e, x: e(nn.relu(x)), ["%0 = clip(x)"], {"low": 0.0}),
    "clip": Graph(IMAGE, lambda e, x: e(op.clip(x, -1.0, 1.0)), ["%0 = clip(x)"], {"low": -1.0, "high": 1.0}),
    "leaky_relu": Graph(IMAGE, lambda e, x: e(nn.leakyrelu(x, 0.25)), ["%0 = leaky_relu(x)"], {"alpha": 0.25}),
    "sigmoid": Graph(IMAGE, lambda e, x: e(op.sigmoid(x)), ["%0 = sigmoid(x)"]),
    "tanh": Graph(IMAGE, lambda e, x: e(op.tanh(x)), ["%0 = tanh(x)"]),
    "softmax": Graph(IMAGE, lambda e, x: e(nn.softmax(x, -1)), ["%0 = softmax(x)"], {"classes": 4}),
    "hard_swish": Graph(IMAGE, _hard_swish, ["%0 = hard_swish(x)"]),
    "add": Graph(IMAGE, lambda e, x: e(op.add(x, e(op.tanh(x)))), ["%0 = tanh(x)", "%1 = add(x, %0)"]),
    "multiply": Graph(IMAGE, lambda e, x: e(op.multiply(e(op.tanh(x)), x)), ["%0 = tanh(x)", "%1 = multiply(%0, x)"]),
    "gate": Graph(IMAGE, _gate, ["%0 = avg_pool(x)", "%1 = sigmoid(%0)", "%2 = multiply_channel(x, %1)"]),
    "add_constant": Graph(IMAGE, lambda e, x: e(op.add(_constant(1, 2, 3, 4), x)), ["%0 = affine(x, const, const)"]),
    "subtract_constant": Graph(IMAGE, lambda e, x: e(op.subtract(x, _scalar(2))), ["%0 = affine(x, const, const)"]),
    "subtract_from_constant": Graph(
        IMAGE, lambda e, x: e(op.subtract(_constant(1, 2, 3, 4), x)), ["%0 = affine(x, const, const)"]
    ),
    "multiply_constant": Graph(
        IMAGE, lambda e, x: e(op.multiply(x, _constant(1, 2, 3, 4))), ["%0 = affine(x, const, const)"]
    ),
    "divide_by_constant": Graph(IMAGE, lambda e, x: e(op.divide(x, _scalar(3))), ["%0 = affine(x, const, const)"]),
    "concat_channels": Graph(
        IMAGE, lambda e, x: e(op.concat([x, e(op.tanh(x))], 3)), ["%0 = tanh(x)", "%1 = concat(x, %0)"], {"outer": 35}
    ),
    "concat_rows": Graph(IMAGE, lambda e, x: e(op.concat([x, x, x], 1)), ["%0 = concat(x, x, x)"], {"outer": 1}),
    "max_pool": Graph(
        IMAGE,
        lambda e, x: e(nn.max_pool2d(x, (3, 2), (2, 3), [1, 0, 1, 1], layout="NHWC")),
        ["%0 = max_pool(x)"],
        dict(kh=3, kw=2, sh=2, sw=3, pt=1, pl=0, OH=3, OW=3),
    ),
    "avg_pool": Graph(
        IMAGE, lambda e, x: e(nn.avg_pool2d(x, (2, 2), (2, 2), [0, 0, 1, 1], layout="NHWC")), ["%0 = avg_pool(x)"]
    ),
    "mean": Graph(IMAGE, lambda e, x: e(op.mean(x, [1, 2])), ["%0 = avg_pool(x)"], dict(W=35, kw=35, OW=1)),
    "max": Graph((1, 6, 4), lambda e, x: e(op.max(x, [1])), ["%0 = max_pool(x)"], dict(W=6, kw=6)),
    "broadcast": Graph(
        IMAGE,
        lambda e, x: e(op.add(x, e(op.mean(x, [1, 2], keepdims=True)))),
        ["%0 = avg_pool(x)", "%1 = add_broadcast(x, %0)"],
        {"shape": "35 4", "strides": "4 1|0 1|4 1"},
    ),
    "constants_of_rows": Graph(IMAGE, lambda e, x: e(op.add(x, constant(7, 4))), ["%0 = add_broadcast(x, const)"]),
    "reduction": Graph(
        IMAGE, lambda e, x: e(op.sum(x, [0, 3])), ["%0 = sum(x)"], {"shape": "35 4", "strides": "4 1|1 0"}
    ),
    "softmax_over_rows": Graph(
        IMAGE,
        lambda e, x: e(nn.softmax(x, 1)),
        ["%0 = read_strided(x)", "%1 = softmax(%0)", "%2 = read_strided(%1)"],
        {"shape": "5 28", "strides": "1 5|28 1"},
    ),
    "product": Graph(
        IMAGE,
        lambda e, x: e(op.matmul(e(op.reshape(x, (35, 4))), e(op.reshape(x, (4, 35))))),
        ["%0 = matmul(x, x)"],
        {"shape": "35 35 4", "strides": "4 0 1|0 1 35|35 1 0"},
    ),
    "moves_that_move_nothing": Graph(
        IMAGE,
        lambda e, x: e(op.tanh(e(op.permute_dims(e(op.strided_slice(x, [1], [0], [5])), [1, 0, 2, 3])))),
        ["%0 = tanh(x)"],
    ),
    "repeated_pixels": Graph(
        IMAGE,
        lambda e, x: e(op.image.resize2d(x, (10, 7), None, "NHWC", "nearest_neighbor", "asymmetric", "")),
        ["%0 = read_strided(x)"],
        {"shape": "5 2 28", "strides": "28 0 1|56 28 1"},
    ),
    "reshapes": Graph(
        IMAGE,
        lambda e, x: e(op.squeeze(e(op.expand_dims(e(op.tanh(e(op.reshape(x, (1, 20, 7))))), 2)), 2)),
        ["%0 = tanh(x)"],
    ),
}


def _canonical(graph: Graph) -> tvm.IRModule:
    return Canonicalize()(imported(graph.shape, graph.body))


@pytest.mark.parametrize("name", GRAPHS)
def test_operators_become_kernels(name):
    graph = GRAPHS[name]
    module = _canonical(graph)
    assert lines_of(module, "predict") == list(graph.lines)
    last = steps_of(module, "predict")[0][-1].kernel
    assert {key: last[key] for key in graph.attrs or {}} == (graph.attrs or {})


# TVM compiles no transposed convolution of these layouts; kernels/test_conv2d_transpose.py has the values.
@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "transposed"])
def test_values_are_those_of_tvm(name):
    graph = GRAPHS[name]
    module = _canonical(graph)
    x = 2 * normal(np.random.default_rng(3), *graph.shape)
    steps, _ = steps_of(module, "predict")
    lengths = [row_length(step.kernel) for step in steps if "rows_" in str(step.args[-1])]
    attrs = module["predict"].attrs
    rows = [
        Rows(tensor.numpy().reshape(-1, int(stride)), length)
        for tensor, stride, length in zip(attrs["params"], attrs["strides"], lengths, strict=True)
    ]
    arguments = {"x": x, **{f"rows_{i}": r for i, r in enumerate(rows)}}
    (y,) = Program(PlanArena()(module)).run("predict", arguments)
    check_close(y, run_imported(imported(graph.shape, graph.body), x), name)


def test_rows_hold_weights_then_bias_then_padding():
    graph = GRAPHS["conv_bias_clip"]
    module = _canonical(graph)
    (kernel,) = kernels_of(module, "predict", "conv2d")
    assert params_of(module, "predict") == ["x", "rows_0"]
    rows = module["predict"].attrs["params"][0].numpy().reshape(6, kernel["stride"])
    weights = constant(3, 2, 4, 6).value.numpy()
    assert np.array_equal(rows[:, :24], weights.transpose(3, 0, 1, 2).reshape(6, 24))
    assert np.array_equal(rows[:, 24], constant(6, seed=1).value.numpy())
    assert np.array_equal(rows[:, 25], np.zeros(6))


def test_layers_are_numbered_in_order_and_named_by_kind():
    def body(emit, x):
        y = emit(conv2d(x, constant(1, 1, 4, 4)))
        y = emit(conv2d(y, constant(3, 3, 4, 1), groups=4, kernel_layout="HWOI"))
        return emit(op.matmul(emit(op.reshape(y, (1, 60))), constant(60, 3)))

    module = Canonicalize()(imported(IMAGE, body))
    assert [str(kind) for kind in module["predict"].attrs["kinds"]] == ["conv2d", "depthwise", "dense"]
    assert [int(stride) for stride in module["predict"].attrs["strides"]] == [6, 10, 62]
    assert [line.split("(")[1] for line in lines_of(module, "predict")] == ["x, rows_0)", "%0, rows_1)", "%1, rows_2)"]


UNSUPPORTED = {
    "an operator without a kernel": (
        lambda e, x: e(op.cumsum(x, 1)),
        "expected an operator that has a kernel, received relax.cumsum",
    ),
    "a transposed convolution of groups": (
        lambda e, x: e(conv2d_transpose(x, constant(2, 2, 2, 4), groups=2)),
        "expected a transposed convolution of one group, received 2",
    ),
    "a kernel that is computed": (
        lambda e, x: e(conv2d(x, e(op.reshape(x, (1, 1, 4, 35))))),
        "expected a convolution with constant weights, received two activations",
    ),
    "numbers that are no reals": (
        lambda e, x: e(op.add(e(op.astype(x, "int32")), e(op.astype(x, "int32")))),
        "expected operands of float32 for add, received int32",
    ),
    "indices that are computed": (
        lambda e, x: e(op.take(x, e(op.astype(e(op.max(x)), "int32")), 3)),
        "expected a lookup at constant indices, received indices that are computed",
    ),
    "indices outside": (
        lambda e, x: e(op.take(x, relax.const(np.int32([0, 4])), 3)),
        "expected indices below 4, received 0 to 4",
    ),
    "a slice of nothing": (
        lambda e, x: e(op.strided_slice(x, [1], [3], [2])),
        "expected a slice of shape (1, -1, 7, 4) that holds something, received one of (1, 5, 7, 4) from [3] to [2] "
        "in steps of [1]",
    ),
    "padding with infinity": (
        lambda e, x: e(nn.pad(x, [0, 0, 1, 1, 0, 0, 0, 0], pad_value=float("inf"))),
        "expected padding of an activation with a finite constant, or by reflect, replicate or circular, received "
        "constant of [0, 0, 1, 1, 0, 0, 0, 0] with inf",
    ),
    "cubic resizing": (
        lambda e, x: e(op.image.resize2d(x, (3, 3), None, "NHWC", "cubic")),
        "expected resizing by nearest or linear in NHWC, received cubic in NHWC",
    ),
    "resizing between other pixels": (
        lambda e, x: e(op.image.resize2d(x, (3, 3), None, "NHWC", "nearest_neighbor", "half_pixel", "floor")),
        "expected positions of half_pixel (round_prefer_ceil), align_corners (round), asymmetric (floor), received "
        "half_pixel (floor)",
    ),
    "a product with a vector": (
        lambda e, x: e(op.matmul(x, e(op.max(x, [0, 1, 2])))),
        "expected a product of matrices, received (1, 5, 7, 4) and (4,)",
    ),
    "several images": (
        lambda e, x: e(nn.max_pool2d(e(op.reshape(x, (5, 7, 2, 2))), (2, 2), layout="NHWC")),
        "expected pooling of one image, received 5",
    ),
    "an output that is a constant": (
        lambda e, x: e(op.tile(constant(1, 3), (1, 2))),
        "expected an output that depends on the input, received a constant",
    ),
    "padding that is averaged": (
        lambda e, x: e(nn.avg_pool2d(x, (2, 2), layout="NHWC", count_include_pad=True)),
        "expected pooling that leaves padding out, received count_include_pad",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_has_no_kernel_is_named_in_one_line(case):
    body, message = UNSUPPORTED[case]
    with pytest.raises(UnsupportedGraphError) as error:
        Canonicalize()(imported(IMAGE, body))
    assert str(error.value) == message


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 1, 1, 4), ()])
def test_a_bias_has_one_value_per_channel(shape):
    def body(emit, x):
        y = emit(conv2d(emit(op.reshape(x, (1, 4, 5, 7))), constant(1, 1, 7, 4)))
        return emit(op.add(y, constant(*shape)))

    if shape == (4, 1, 1):
        lines = lines_of(Canonicalize()(imported(IMAGE, body)), "predict")
        assert lines == ["%0 = conv2d(x, rows_0)", "%1 = add_broadcast(%0, const)"]
    else:
        assert lines_of(Canonicalize()(imported(IMAGE, body)), "predict") == ["%0 = conv2d(x, rows_0)"]


def test_a_clip_without_bounds_vanishes():
    module = Canonicalize()(imported(IMAGE, lambda e, x: e(op.tanh(e(op.clip(x, -float("inf"), float("inf")))))))
    assert lines_of(module, "predict") == ["%0 = tanh(x)"]


def test_constants_are_folded_through_reshapes_and_transposes():
    def body(emit, x):
        square = emit(op.permute_dims(emit(op.reshape(_constant(1, 2, 3, 4), (2, 2))), [1, 0]))
        return emit(op.add(x, emit(op.reshape(square, (4,)))))

    module = Canonicalize()(imported(IMAGE, body))
    ((step,), _) = steps_of(module, "predict")
    assert step.args[2].value.numpy().tolist() == [1, 3, 2, 4]
