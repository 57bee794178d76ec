# SPDX-License-Identifier: Apache-2.0
"""Convolutions of every geometry as operators of TensorFlow Lite: in float32 like the kernels, quantised to the bit."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from passes.compiled import Guarded, Rows
from passes.imported import constant, conv2d, imported
from passes.kernels.test_int8 import Int8RowsStruct
from passes.planned import Program
from passes.trials import check_close, normal
from tvm import relax

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.frontend.layers import Layer
from tt_tflm.program.layout.int8_layer import Int8Layer
from tt_tflm.program.quantization import quantized
from tt_tflm.program.static import ImportedModel
from tt_tflm.tflite.forward import forward_pass
from tt_tflm.tflite.graph import TfliteGraph
from tvm_passes.canonicalize import Canonicalize
from tvm_passes.kernel import row_length, steps_of
from tvm_passes.plan_arena import PlanArena

from .straight_through import StraightThrough

op, nn = relax.op, relax.op.nn
SHAPE = (1, 9, 10, 4)


def _transposed(x: relax.Expr, kernel: relax.Expr, **options: object) -> relax.Expr:
    return nn.conv2d_transpose(x, kernel, data_layout="NHWC", kernel_layout="HWOI", **options)


def _depthwise(x: relax.Expr, kernel: relax.Expr, strides: tuple[int, int], **options: object) -> relax.Expr:
    return conv2d(x, kernel, strides, groups=4, kernel_layout="HWOI", **options)


# A convolution of x, and whether a ReLU follows.
CONVOLUTIONS: dict[str, tuple[Callable[[relax.Expr], relax.Expr], bool]] = {
    "dilated": (lambda x: conv2d(x, constant(3, 3, 4, 6), dilation=[2, 3], padding=[2, 3, 2, 3]), True),
    "dilated_padded_unevenly": (
        lambda x: conv2d(x, constant(2, 3, 4, 5), dilation=[3, 1], padding=[1, 0, 2, 2]),
        False,
    ),
    "depthwise_unequal_strides": (lambda x: _depthwise(x, constant(3, 3, 4, 1), (1, 2)), True),
    "depthwise_dilated": (
        lambda x: _depthwise(x, constant(3, 3, 8, 1), (1, 1), dilation=[2, 2], padding=[2, 2, 2, 2]),
        False,
    ),
    "grouped": (lambda x: conv2d(x, constant(3, 3, 2, 6), 2, groups=2, padding=[1, 0, 1, 1]), True),
    "grouped_points": (lambda x: conv2d(x, constant(1, 1, 2, 6), groups=2), False),
    "transposed_same": (lambda x: _transposed(x, constant(3, 3, 5, 4), strides=(2, 2), padding=(0, 0, 1, 1)), True),
    "transposed_valid": (lambda x: _transposed(x, constant(2, 3, 5, 4), strides=(3, 2), output_padding=(1, 0)), False),
}


def _model(convolution: Callable[[relax.Expr], relax.Expr], relu: bool) -> ImportedModel:
    def body(emit: Callable[[relax.Expr], relax.Var], x: relax.Var) -> relax.Var:
        y = emit(convolution(x))
        y = emit(op.add(y, constant(int(y.ty.shape[-1]), seed=1)))
        return emit(nn.relu(y)) if relu else y

    module = Canonicalize()(imported(SHAPE, body))
    (step,), _ = steps_of(module, "predict")
    channels, length = step.kernel["O"], row_length(step.kernel)
    (rows,), (stride,) = (module["predict"].attrs[name] for name in ("params", "strides"))
    # Names and channels are all that is asked of the layer.
    layer = Layer.of("layer", "dense", (length, channels), True, (length,), (channels,))
    rows = (rows.numpy().reshape(-1, int(stride)),)
    return ImportedModel("model", module, (layer,), rows, SHAPE[1:], step.kernel.param("y").elements, "0" * 16)


@functools.cache
def prepared(name: str) -> ImportedModel:
    return _model(*CONVOLUTIONS[name])


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_operators_of_tflite_compute_what_kernels_do(name: str) -> None:
    model, x = prepared(name), normal(np.random.default_rng(0), *SHAPE)
    ((step,), _), image = steps_of(model.module, "predict"), model.module["predict"].params[0]
    graph = TfliteGraph(placed=False)
    values = forward_pass(graph, image, [step], model.rows, SHAPE[1:])
    content = graph.finish([values[image]], [values[step.var]], name)
    rows = Rows(model.rows[0], row_length(step.kernel))
    (y,) = Program(PlanArena()(model.module)).run("predict", {"x": x, "rows_0": rows})
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    check_close(y, interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), name)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_quantised_they_agree_to_the_bit(name: str) -> None:
    rng = np.random.default_rng(0)
    model, content = quantized(prepared(name), normal(rng, 8, *SHAPE[1:]))
    program, reference = Program(PlanArena()(model.module)), StraightThrough(content)
    for _ in range(3):
        # Beyond the calibrated range at times, so that saturation is met.
        x, keep = 1.5 * normal(rng, *SHAPE), []
        (y,) = program.run("predict", {"x": x, "int8_rows_0": struct_of(model.int8_layers[0], keep)})
        assert np.array_equal(y, reference.output(x))


def struct_of(layer: Int8Layer, keep: list[object]) -> Int8RowsStruct:
    channels = np.zeros(len(layer.rows), [("weight", "<f4"), ("bias", "<f4"), ("multiplier", "<i4"), ("shift", "<i4")])
    channels["weight"], channels["bias"] = layer.weight_scales, layer.bias_scales
    channels["multiplier"], channels["shift"] = layer.multipliers, layer.shifts
    base = Guarded(layer.rows)
    keep += [base, channels]
    return Int8RowsStruct(base.address, channels.ctypes.data, None, None, layer.rows.shape[1], layer.weights)


def test_a_transposed_convolution_that_tflite_lacks_is_refused() -> None:
    model = _model(lambda x: _transposed(x, constant(3, 3, 5, 4), strides=(2, 2), padding=(2, 0, 0, 0)), True)
    with pytest.raises(
        UnsupportedLayerError, match=r"^layer 'layer', precision int8: expected a transposed convolution with "
    ):
        quantized(model, normal(np.random.default_rng(0), 2, *SHAPE[1:]))
