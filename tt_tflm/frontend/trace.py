# SPDX-License-Identifier: Apache-2.0
"""A graph as TensorFlow operators, for the TFLite converter.

Left to itself the converter optimises across layers: it moves a batch norm, a Rescaling or the bias of a linear layer
into the layer that follows. The outputs stay the same, the gradients of the latter do not. So the graph is traced with
a boundary after every call, a custom operator that the converter does not look through; linear maps are such operators
too, so that their weights do not pass through it at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.frontend.fold import Folded
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node
from tt_tflm.frontend.quiet import import_tensorflow

BOUNDARY = "tt_tflm.boundary"
LINEAR = "tt_tflm.linear"
BOUNDED_RELU = "tt_tflm.bounded_relu"


def to_tflite(graph: Graph, folded: Folded) -> bytes:
    """The flatbuffer: weightless operators, and custom ones ``tt_tflm.boundary/<node>``,
    ``tt_tflm.linear/<node>/<number of the map>`` and ``tt_tflm.bounded_relu/<node>``.

    Raises:
        Exception: of any kind, where TensorFlow or its converter fail.
    """
    tf = import_tensorflow()
    image = tf.TensorSpec((1, *graph.input_shape), tf.float32, name=identifier(graph.input_name))
    return _converted(_Trace(graph, folded).run, [image])


def why_not(graph: Graph, folded: Folded, index: int) -> str | None:
    """What the converter says to a node by itself; None where it takes it."""
    tf = import_tensorflow()
    node = graph.nodes[index]
    specs = [tf.TensorSpec((1, *shape), tf.float32) for shape in node.input_shapes]
    try:
        _converted(lambda *inputs: _Trace(graph, folded).results(index, node, list(inputs))[0], specs)
    except Exception as error:  # Both raise bare exceptions of many kinds.
        return str(error)
    return None


def _converted(function: Callable[..., Any], specs: list[Any]) -> bytes:
    tf = import_tensorflow()
    with tf.device("/CPU:0"):
        concrete = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    # Marked functions survive only on the way through a saved model, for which the converter wants an object to save.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.allow_custom_ops = True
    return converter.convert()


class _Trace:
    def __init__(self, graph: Graph, folded: Folded) -> None:
        self._tf = import_tensorflow()
        self._graph = graph
        self._folded = folded

    def run(self, image: Any) -> Any:
        """The model's output."""
        values = {MODEL_INPUT: image}
        groups: dict[int, list[Any]] = {}
        for index, node in enumerate(self._graph.nodes):
            if index in self._folded.skipped:
                continue
            if node.group not in groups:
                inputs = [values[self._folded.source(source)] for source in node.sources]
                groups[node.group] = self.results(index, node, inputs)
            values[index] = self._custom(f"{BOUNDARY}/{index}", groups[node.group][node.result])
        return values[self._folded.source(self._graph.output)]

    def results(self, index: int, node: Node, inputs: list[Any]) -> list[Any]:
        """The outputs of the call that a node is of."""
        if index in self._folded.scale_shift:
            scale, shift = self._folded.scale_shift[index]
            return [inputs[0] * self._tf.constant(scale) + self._tf.constant(shift)]
        if node.kind == "ReLU" and _has_own_bound(node.layer):
            return [self._custom(f"{BOUNDED_RELU}/{index}", inputs[0])]
        return node.run(lambda number, x: self._linear(index, number, x), inputs)

    def _linear(self, index: int, number: int, x: Any) -> Any:
        layer = self._folded.weights[index][number].layer
        shape = layer.output_shape
        if x.shape[0] != 1 and layer.kind != "dense":
            # Kernels have no axis for it, and would take the first sample for all.
            raise UnsupportedLayerError(f"layer '{layer.name}': expected one sample at a time, received {x.shape[0]}")

        def like(tensor: Any) -> Any:
            return self._tf.zeros((tensor.shape[0], *shape)) * self._tf.reshape(tensor, (-1,))[0]

        return self._custom(f"{LINEAR}/{index}/{number}", x, like)

    def _custom(self, name: str, value: Any, body: Callable[[Any], Any] | None = None) -> Any:
        # The converter keeps a function so marked as one custom operator of that name; its body tells the shape only.
        marked = f'name: "{name}" attr {{key: "tfl_fusable_op" value {{b: true}}}}'
        body = body or (lambda tensor: self._tf.identity(tensor))
        return self._tf.function(body, experimental_implements=marked, autograph=False)(value)


def _has_own_bound(layer: Any) -> bool:
    # TFLite knows no bound but 6 and no slope together with a bound; it would take three to six operators.
    has = getattr(layer, "max_value", None) is not None and layer.threshold == 0
    return has and (float(layer.max_value) != 6.0 or layer.negative_slope != 0)


def identifier(name: str) -> str:
    """A name that TensorFlow, Relax scripts and C all accept."""
    return re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII)
