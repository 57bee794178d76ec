# SPDX-License-Identifier: Apache-2.0
"""Fold batch norm into the layers before it, so that every trained number keeps the meaning it has in Keras.

TFLite's own folding is not used: it also moves scales, shifts and the biases of linear layers into the layer that
follows. The outputs stay the same, the gradients of that layer do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras

DROPPED = ("Dropout", "SpatialDropout1D", "SpatialDropout2D")


@dataclass(frozen=True)
class FoldedLayer:
    """A layer with weights and its weights after folding: rows float32 (channels, stride)."""

    layer: Layer
    rows: np.ndarray


@dataclass(frozen=True)
class Folded:
    """What became of a graph's nodes.

    Attributes:
        weights: per node index, the layers with weights it holds: one, or two for a SeparableConv2D.
        scale_shift: per index of a batch norm that stands alone, float32 scale and shift, each (channels,).
        skipped: index of a node that computes nothing any more -> index of the node (or MODEL_INPUT) it passes on.
        norms: index of a node with weights -> indices of the batch norms folded into its last layer, in their order.
    """

    weights: dict[int, tuple[FoldedLayer, ...]]
    scale_shift: dict[int, tuple[np.ndarray, np.ndarray]]
    skipped: dict[int, int]
    norms: dict[int, list[int]]

    def source(self, index: int) -> int:
        """The node (or MODEL_INPUT) that computes what the node at `index` passes on."""
        while index in self.skipped:
            index = self.skipped[index]
        return index

    def layers(self) -> list[FoldedLayer]:
        """Every layer with weights in topological order."""
        return [folded for index in sorted(self.weights) for folded in self.weights[index]]


def fold(graph: Graph) -> Folded:
    """Drop what inference does not need and fold every batch norm that directly follows a linear layer.

    Raises:
        InputError: a batch norm's variance is negative or NaN, or a folded weight is not finite.
    """
    folded = Folded({}, {}, {}, {})
    uses = graph.uses()
    kernels: dict[int, list[tuple[Layer, np.ndarray, np.ndarray | None]]] = {}
    for index, node in enumerate(graph.nodes):
        kind = type(node.layer).__name__
        if kind in DROPPED or (kind == "Activation" and is_linear(node.layer)):
            folded.skipped[index] = node.sources[0]
        elif kind in _WEIGHTS_OF:
            kernels[index] = _WEIGHTS_OF[kind](node)
        elif kind == "BatchNormalization":
            scale, shift = scale_and_shift(node)
            target = _linear_layer_before(graph, folded, uses, node.sources[0])
            if target is None:
                folded.scale_shift[index] = (scale.astype(np.float32), shift.astype(np.float32))
            else:
                layer, kernel, bias = kernels[target].pop()
                kernels[target].append(_scaled(layer, kernel, bias, scale, shift))
                folded.skipped[index] = node.sources[0]
                folded.norms.setdefault(target, []).append(index)
    for index, parts in kernels.items():
        folded.weights[index] = tuple(_rows(*part) for part in parts)
    return folded


def is_linear(layer: keras.layers.Layer) -> bool:
    """Whether a layer's activation does nothing."""
    return layer.activation is None or layer.activation is import_keras().activations.linear


def _linear_layer_before(graph: Graph, folded: Folded, uses: dict[int, int], index: int) -> int | None:
    while index != MODEL_INPUT and uses[index] == 1:
        if index not in folded.skipped:
            layer = graph.nodes[index].layer
            return index if type(layer).__name__ in _WEIGHTS_OF and is_linear(layer) else None
        index = folded.skipped[index]
    return None


def scale_and_shift(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm does at inference: float64 scale and shift, each (channels,).

    Raises:
        InputError: its variance is negative or NaN.
    """
    norm = node.layer
    variance = _array(norm.moving_variance) + norm.epsilon
    if not np.all(variance > 0):
        raise InputError(
            f"layer '{node.name}' (BatchNormalization): expected moving_variance of 0 or more, received "
            f"{float(variance.min()) - norm.epsilon}; train or load the model again"
        )
    scale = 1.0 / np.sqrt(variance)
    if norm.gamma is not None:
        scale = scale * _array(norm.gamma)
    shift = -_array(norm.moving_mean) * scale
    if norm.beta is not None:
        shift = shift + _array(norm.beta)
    return scale, shift


def _scaled(
    layer: Layer, kernel: np.ndarray, bias: np.ndarray | None, scale: np.ndarray, shift: np.ndarray
) -> tuple[Layer, np.ndarray, np.ndarray]:
    # The output channels of a depthwise kernel are spread over its last two axes, cin major.
    spread = scale.reshape(layer.kernel_shape[2:]) if layer.kind == "depthwise" else scale
    shifted = shift if bias is None else bias * scale + shift
    with_bias = Layer.of(layer.name, layer.kind, layer.kernel_shape, True, layer.input_shape, layer.output_shape)
    return with_bias, kernel * spread, shifted


def _rows(layer: Layer, kernel: np.ndarray, bias: np.ndarray | None) -> FoldedLayer:
    # A weight beyond float32 becomes infinite here and is reported below.
    with np.errstate(over="ignore"):
        rows = layer.kernel_to_rows(kernel, bias)
    if not np.all(np.isfinite(rows)):
        raise InputError(
            f"layer '{layer.name}': expected finite weights with batch norm folded, received NaN or infinity; "
            "train or load the model again"
        )
    return FoldedLayer(layer, rows)


def _array(variable: object) -> np.ndarray:
    # Folding in double precision leaves one rounding, to float32, at the end.
    return np.asarray(variable, dtype=np.float64)


def _bias(node: Node) -> np.ndarray | None:
    return _array(node.layer.bias) if node.layer.use_bias else None


def _one(kind: str) -> Callable[[Node], list[tuple[Layer, np.ndarray, np.ndarray | None]]]:
    def weights(node: Node) -> list[tuple[Layer, np.ndarray, np.ndarray | None]]:
        kernel = _array(node.layer.kernel)
        exact = "pointwise" if kind == "conv2d" and kernel.shape[:2] == (1, 1) else kind
        bias = _bias(node)
        layer = Layer.of(node.name, exact, kernel.shape, bias is not None, node.input_shapes[0], node.output_shape)
        return [(layer, kernel, bias)]

    return weights


def _separable(node: Node) -> list[tuple[Layer, np.ndarray, np.ndarray | None]]:
    depthwise, pointwise = _array(node.layer.depthwise_kernel), _array(node.layer.pointwise_kernel)
    bias = _bias(node)
    between = (*node.output_shape[:2], pointwise.shape[2])
    first = Layer.of(f"{node.name}/depthwise", "depthwise", depthwise.shape, False, node.input_shapes[0], between)
    second = Layer.of(
        f"{node.name}/pointwise", "pointwise", pointwise.shape, bias is not None, between, node.output_shape
    )
    return [(first, depthwise, None), (second, pointwise, bias)]


_WEIGHTS_OF = {
    "Conv2D": _one("conv2d"),
    "DepthwiseConv2D": _one("depthwise"),
    "SeparableConv2D": _separable,
    "Conv1D": _one("conv1d"),
    "Dense": _one("dense"),
}
