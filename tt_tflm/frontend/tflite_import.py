# SPDX-License-Identifier: Apache-2.0
"""Keras model -> TensorFlow Lite -> Relax module.

Left to itself the TFLite converter optimises across layers: it moves a batch norm, a Rescaling or the bias of a linear
layer into the layer that follows. The outputs stay the same, the gradients of the latter do not. So the model is traced
with a boundary after every layer, a custom operator that the converter does not look through and that disappears here.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.fold import Folded, FoldedLayer, fold
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node, flatten
from tt_tflm.frontend.quiet import import_tensorflow, most_telling_line, silence

if TYPE_CHECKING:
    import keras
    import tvm

_BOUNDARY = "tt_tflm.boundary"
_ENTRY = "tt_tflm.entry"
_BOUNDED_RELU = "tt_tflm.bounded_relu"
_ONE_FEATURE = "tt_tflm.one_feature"


def to_relax(model: keras.Model) -> tvm.IRModule:
    """Import a checked model.

    Args:
        model: a model that `check_model` accepts; its weights are not changed.

    Returns:
        A module whose `main` takes float32 (1, *input_shape) and returns float32 (1, *output_shape); weights are inline
        constants; the variable holding a layer's output is named after the layer.

    Raises:
        InputError: TensorFlow Lite or TVM cannot convert the model; also what `flatten` and `fold` raise.
    """
    graph = flatten(model)
    folded = fold(graph)
    try:
        with silence() as captured:
            return _import(_to_tflite(graph, folded), graph, folded)
    except Exception as error:  # Both converters raise bare exceptions of many kinds.
        reason = most_telling_line(f"{error}\n{captured.text}") or type(error).__name__
        raise InputError(
            f"model '{model.name}': expected a model that TensorFlow Lite and TVM can convert, received: {reason}"
        ) from error


def _to_tflite(graph: Graph, folded: Folded) -> bytes:
    tf = import_tensorflow()
    image = tf.TensorSpec((1, *graph.input_shape), tf.float32, name=_identifier(graph.input_name))
    with tf.device("/CPU:0"):
        function = tf.function(_Trace(graph, folded).run, input_signature=[image], autograph=False)
        concrete = function.get_concrete_function()
    # Marked functions survive only on the way through a saved model, for which the converter wants an object to save.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.allow_custom_ops = True
    return converter.convert()


class _Trace:
    """The graph as TensorFlow operators on constants."""

    def __init__(self, graph: Graph, folded: Folded) -> None:
        self._tf = import_tensorflow()
        self._graph = graph
        self._folded = folded
        self._readers = Counter(
            folded.source(source)
            for index, node in enumerate(graph.nodes)
            for source in node.sources
            if index not in folded.skipped
        )

    def run(self, image: Any) -> Any:
        values = {MODEL_INPUT: image}
        for index, node in enumerate(self._graph.nodes):
            if index in self._folded.skipped:
                continue
            inputs = [values[self._folded.source(source)] for source in node.sources]
            if index in self._folded.weights and self._readers[self._folded.source(node.sources[0])] > 1:
                # Layers with equal weights on one input would be merged, and could not be trained apart.
                inputs = [self._custom(_ENTRY, index, inputs[0])]
            result = self._node(index, node, inputs)
            values[index] = self._custom(_BOUNDARY, index, result)
        return values[self._folded.source(self._graph.output)]

    def _node(self, index: int, node: Node, inputs: list[Any]) -> Any:
        layer = node.layer
        if index in self._folded.weights:
            result = inputs[0]
            for part, folded in enumerate(self._folded.weights[index]):
                # The halves of a separable convolution: the stride belongs to the first.
                result = self._kernel(index, folded, result, layer, strided=part == 0)
            return result if layer.activation is None else layer.activation(result)
        if index in self._folded.scale_shift:
            scale, shift = self._folded.scale_shift[index]
            return inputs[0] * self._tf.constant(scale) + self._tf.constant(shift)
        if type(layer).__name__ == "ReLU" and _has_own_bound(layer):
            return self._custom(_BOUNDED_RELU, index, inputs[0])
        if type(layer).__name__ == "ZeroPadding1D":
            # As an image of one row, like every other one-dimensional operator.
            return self._tf.squeeze(
                self._tf.pad(self._tf.expand_dims(inputs[0], 1), ((0, 0), (0, 0), layer.padding, (0, 0))), 1
            )
        return layer.call(inputs if len(inputs) > 1 or _takes_a_list(layer) else inputs[0])

    def _kernel(self, index: int, folded: FoldedLayer, value: Any, layer: keras.layers.Layer, strided: bool) -> Any:
        tf = self._tf
        kernel, bias = folded.layer.rows_to_kernel(folded.rows)
        kind = folded.layer.kind
        if kind == "dense":
            result = self._dense(index, value, kernel)
        elif kind == "conv1d":
            strides = (1, *layer.strides)
            result = tf.nn.conv2d(tf.expand_dims(value, 1), tf.constant(kernel[None]), strides, layer.padding.upper())
        elif kind == "depthwise":
            strides = (1, *layer.strides, 1)
            result = tf.nn.depthwise_conv2d(value, tf.constant(kernel), strides, layer.padding.upper())
        else:
            strides = layer.strides if strided else 1
            result = tf.nn.conv2d(value, tf.constant(kernel), strides, layer.padding.upper())
        if bias is not None:
            result = tf.nn.bias_add(result, tf.constant(bias))
        return tf.squeeze(result, 1) if kind == "conv1d" else result

    def _dense(self, index: int, value: Any, kernel: np.ndarray) -> Any:
        def product(tensor: Any) -> Any:
            return self._tf.tensordot(tensor, kernel, 1)

        # With one input feature and no bias the converter would make it a broadcast multiplication.
        return self._custom(_ONE_FEATURE, index, value, product) if kernel.shape[0] == 1 else product(value)

    def _custom(self, rule: str, index: int, value: Any, body: Callable[[Any], Any] | None = None) -> Any:
        # The converter keeps a function so marked as one custom operator of that name; its body tells the shape only.
        marked = f'name: "{rule}/{index}" attr {{key: "tfl_fusable_op" value {{b: true}}}}'
        body = body or (lambda tensor: self._tf.identity(tensor))
        return self._tf.function(body, experimental_implements=marked, autograph=False)(value)


def _has_own_bound(layer: keras.layers.Layer) -> bool:
    # TFLite knows no bound but 6 and no slope together with a bound; it would take three to six operators.
    return layer.max_value is not None and (float(layer.max_value) != 6.0 or layer.negative_slope != 0)


def _takes_a_list(layer: keras.layers.Layer) -> bool:
    return type(layer).__name__ in ("Add", "Multiply", "Concatenate")


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

    def custom(self, name: str, source: Any, builder: Any) -> Any:
        from tvm import relax

        rule, index = name.split("/")
        node = self._graph.nodes[int(index)]
        if rule == _BOUNDARY:
            return builder.emit(source, name_hint=_identifier(node.name))
        if rule == _ENTRY:
            return source
        if rule == _ONE_FEATURE:
            (weights,) = self._folded.weights[int(index)]
            return relax.op.matmul(source, relax.op.permute_dims(relax.const(weights.rows[:, :1]), [1, 0]))
        slope, bound = float(node.layer.negative_slope), float(node.layer.max_value)
        if slope == 0:
            return relax.op.clip(source, 0.0, bound)
        return relax.op.nn.leakyrelu(relax.op.clip(source, float(np.finfo(np.float32).min), bound), slope)

    def hard_swish(self, source: Any) -> Any:
        from tvm import relax

        gate = relax.op.clip(source + relax.const(3.0, "float32"), 0.0, 6.0)
        return source * (gate * relax.const(1.0 / 6.0, "float32"))


@functools.cache
def _converter_class() -> type:
    # Made on demand: TVM takes seconds to import, and most commands end before they need it.
    from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter

    class Converter(OperatorConverter):
        def __init__(self, rules: _Rules, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._rules = rules
            self.allow_custom_ops = True
            self.convert_map["CUSTOM"] = self._convert_custom
            self.convert_map["HARD_SWISH"] = self._convert_hard_swish

        def _source(self, op: Any) -> Any:
            return self.get_tensor_expr(self.get_input_tensors(op)[0])

        def _convert_custom(self, op: Any) -> Any:
            name = self.model.OperatorCodes(op.OpcodeIndex()).CustomCode().decode()
            return self._rules.custom(name, self._source(op), self.bb)

        def _convert_hard_swish(self, op: Any) -> Any:
            return self._rules.hard_swish(self._source(op))

    return Converter


def _identifier(name: str) -> str:
    """A name that TensorFlow, Relax scripts and C all accept."""
    return re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII)
