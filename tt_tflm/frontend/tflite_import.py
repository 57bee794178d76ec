# SPDX-License-Identifier: Apache-2.0
"""Keras model -> TensorFlow Lite -> Relax module.

The converter sees what has no weights (``frontend.trace``); linear maps, which are custom operators there, become
operators of Relax here.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, refuse_for
from tt_tflm.frontend.fold import Folded, FoldedLayer, fold
from tt_tflm.frontend.graph import Graph, flatten
from tt_tflm.frontend.quiet import most_telling_line, silence
from tt_tflm.frontend.trace import BOUNDARY, LINEAR, identifier, to_tflite, why_not

if TYPE_CHECKING:
    import keras
    import tvm


def to_relax(model: keras.Model) -> tvm.IRModule:
    """Import a checked model.

    Args:
        model: a model that `check_model` accepts; its weights are not changed.

    Returns:
        A module whose `main` takes float32 (1, *input_shape) and returns float32 (1, *output_shape); weights are inline
        constants, one object for all uses of a layer; the variable holding a layer's output is named after the layer.

    Raises:
        InputError: TensorFlow Lite or TVM cannot convert the model; also what `flatten` and `fold` raise.
        UnsupportedLayerError: the same, where one layer is the cause.
    """
    graph = flatten(model)
    folded = fold(graph)
    try:
        with silence() as captured:
            return _import(to_tflite(graph, folded), graph, folded)
    except Exception as error:  # Both converters raise bare exceptions of many kinds.
        reason = most_telling_line(f"{error}\n{captured.text}") or type(error).__name__
        _blame(model.name, graph, folded)
        raise InputError(
            f"model '{model.name}': expected a model that TensorFlow Lite and TVM can convert, received: {reason}"
        ) from error


def _blame(model: str, graph: Graph, folded: Folded) -> None:
    """Raises for the layers that cannot be converted by themselves; returns where it is none of them."""
    obstacles = []
    for index, node in enumerate(graph.nodes):
        if index in folded.skipped or node.result != 0:
            continue
        with silence() as captured:
            reason = why_not(graph, folded, index)
        if reason is not None:
            line = most_telling_line(f"{reason}\n{captured.text}") or "an error without words"
            obstacles.append(
                f"layer '{node.name}' ({type(node.layer).__name__}): expected what TensorFlow Lite can convert, "
                f"received: {line}; write it with other operations"
            )
    refuse_for(model, obstacles)


def _import(flatbuffer: bytes, graph: Graph, folded: Folded) -> tvm.IRModule:
    import tflite
    from tvm import relax
    from tvm.relax.frontend.tflite import from_tflite

    converter = functools.partial(_converter_class(), _Rules(graph, folded))
    module = from_tflite(tflite.Model.GetRootAsModel(flatbuffer, 0), op_converter=converter)
    # A second copy of every constant, of no use while the constants are inline.
    module["main"] = module["main"].without_attr("params")
    return relax.transform.DeadCodeElimination()(module)


class _Rules:
    """What TVM's importer does not know: the custom operators of the trace, and a hard swish without a division."""

    def __init__(self, graph: Graph, folded: Folded) -> None:
        self._graph = graph
        self._folded = folded
        self._constants: dict[tuple[int, int | None], tuple[Any, Any]] = {}

    def custom(self, name: str, source: Any, builder: Any) -> Any:
        from tvm import relax

        rule, index, *number = name.split("/")
        node = self._graph.nodes[int(index)]
        if rule == BOUNDARY:
            return builder.emit(source, name_hint=identifier(node.name))
        if rule == LINEAR:
            return self._linear(self._folded.weights[int(index)][int(number[0])], source)
        slope, bound = float(node.layer.negative_slope), float(node.layer.max_value)
        if slope == 0:
            return relax.op.clip(source, 0.0, bound)
        return relax.op.nn.leakyrelu(relax.op.clip(source, float(np.finfo(np.float32).min), bound), slope)

    def _linear(self, folded: FoldedLayer, source: Any) -> Any:
        from tvm import relax

        kernel, bias = self._constants_of(folded)
        part, layer = folded.part, folded.layer
        if layer.kind == "dense":
            return relax.op.add(relax.op.matmul(source, kernel), bias)
        is_image = len(layer.input_shape) == 3
        x = source if is_image else relax.op.reshape(source, (1, *part.image_shape(layer.input_shape)))
        g = part.geometry
        (top, bottom), (left, right) = g.padding
        window = {"strides": g.strides, "padding": (top, left, bottom, right), "data_layout": "NHWC"}
        if layer.kind == "conv2d_transpose":
            y = relax.op.nn.conv2d_transpose(x, kernel, output_padding=g.output_padding, kernel_layout="HWOI", **window)
        elif _is_depthwise(layer):
            groups = layer.input_shape[-1]
            y = relax.op.nn.conv2d(x, kernel, dilation=g.dilation, groups=groups, kernel_layout="HWOI", **window)
        else:
            y = relax.op.nn.conv2d(x, kernel, dilation=g.dilation, groups=g.groups, kernel_layout="HWIO", **window)
        y = relax.op.add(y, bias)
        return y if is_image else relax.op.reshape(y, (1, *layer.output_shape))

    def _constants_of(self, folded: FoldedLayer) -> tuple[Any, Any]:
        """One object for all uses of a layer: by that they are known as uses of one."""
        from tvm import relax

        key = folded.part.key
        if key not in self._constants:
            layer = folded.layer
            kernel, bias = layer.rows_to_kernel(folded.rows)
            if _is_depthwise(layer):
                kernel = kernel.reshape(*kernel.shape[:2], -1, 1)
            elif layer.kind == "conv1d":
                kernel = kernel[None]
            kernel = np.ascontiguousarray(kernel)
            # Without a bias a sum with a constant that follows would be taken for one.
            bias = np.zeros(layer.channels, np.float32) if bias is None else bias
            self._constants[key] = relax.const(kernel), relax.const(bias)
        return self._constants[key]

    def tanh_gelu(self, source: Any) -> Any:
        """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016."""
        from tvm import relax

        half, one, cubic, scale = (
            relax.const(value, "float32") for value in (0.5, 1.0, 0.044715, math.sqrt(2.0 / math.pi))
        )
        inner = scale * (source + cubic * (source * source * source))
        return half * source * (one + relax.op.tanh(inner))

    def hard_swish(self, source: Any) -> Any:
        from tvm import relax

        gate = relax.op.clip(source + relax.const(3.0, "float32"), 0.0, 6.0)
        return source * (gate * relax.const(1.0 / 6.0, "float32"))


def _is_depthwise(layer: Any) -> bool:
    # With one input channel a depthwise convolution is an ordinary one.
    return layer.kind == "depthwise" and layer.kernel_shape[2] > 1


@functools.cache
def _converter_class() -> type:
    # Made on demand: TVM takes seconds to import, and most commands end before they need it.
    import tflite
    from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter

    class Converter(OperatorConverter):
        def __init__(self, rules: _Rules, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._rules = rules
            self.allow_custom_ops = True
            self.convert_map["CUSTOM"] = self._convert_custom
            self.convert_map["HARD_SWISH"] = self._convert_hard_swish
            self._exact_gelu = self.convert_map["GELU"]
            self.convert_map["GELU"] = self._convert_gelu

        def _source(self, op: Any) -> Any:
            return self.get_tensor_expr(self.get_input_tensors(op)[0])

        def _convert_custom(self, op: Any) -> Any:
            name = self.model.OperatorCodes(op.OpcodeIndex()).CustomCode().decode()
            return self._rules.custom(name, self._source(op), self.bb)

        def _convert_hard_swish(self, op: Any) -> Any:
            return self._rules.hard_swish(self._source(op))

        def _convert_gelu(self, op: Any) -> Any:
            # TVM's importer takes both for the exact one.
            options = tflite.GeluOptions()
            options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
            return self._rules.tanh_gelu(self._source(op)) if options.Approximate() else self._exact_gelu(op)

    return Converter
