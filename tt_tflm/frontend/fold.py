# SPDX-License-Identifier: Apache-2.0
"""Fold batch norm into the layers before it, so that every trained number keeps the meaning it has in Keras.

TFLite's own folding is not used: it also moves scales, shifts and the biases of linear layers into the layer that
follows. The outputs stay the same, the gradients of that layer do not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.graph import MODEL_INPUT, Graph, Node
from tt_tflm.frontend.linear import Linear
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras

    from tt_tflm.frontend.layers import Layer

DROPPED = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
)  # fmt: skip
"""Layers that do nothing at inference, so that a batch norm may be folded through them."""


@dataclass(frozen=True)
class FoldedLayer:
    """A layer with weights and its weights after folding: rows float32 (channels, stride)."""

    part: Linear
    rows: np.ndarray

    @property
    def layer(self) -> Layer:
        """As the rest of the package sees it."""
        return self.part.layer


@dataclass(frozen=True)
class Folded:
    """What became of a graph's nodes.

    Attributes:
        weights: per node index, the linear maps it holds, in the order of its rule.
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
        """Every layer with weights in topological order, those that are used in several places once."""
        distinct: dict[tuple[int, int | None], FoldedLayer] = {}
        for index in sorted(self.weights):
            for folded in self.weights[index]:
                distinct.setdefault(folded.part.key, folded)
        return list(distinct.values())


def fold(graph: Graph) -> Folded:
    """Drop what inference does not need and fold every batch norm that directly follows a linear layer.

    Raises:
        InputError: a batch norm's variance is negative or NaN, or a folded weight is not finite.
    """
    folded = Folded({}, {}, {}, {})
    uses = graph.uses()
    maps: dict[int, list[_Map]] = {}
    groups: dict[int, list[_Map]] = {}
    kernels = Counter(part.key for node in graph.nodes if node.result == 0 for part in node.parts)
    for index, node in enumerate(graph.nodes):
        kind = node.kind
        if kind in DROPPED or (kind == "Activation" and is_linear(node.layer)):
            folded.skipped[index] = node.sources[0]
        elif node.parts:
            if node.group not in groups:
                groups[node.group] = [_Map(part, *part.read()) for part in node.parts]
            maps[index] = groups[node.group]
        elif kind == "BatchNormalization" and _over_last_axis(node):
            scale, shift = scale_and_shift(node)
            target = _linear_layer_before(graph, folded, uses, node.sources[0])
            # A kernel that is used in several places could not take up the norms of all.
            if target is None or kernels[maps[target][-1].part.key] > 1:
                folded.scale_shift[index] = (scale.astype(np.float32), shift.astype(np.float32))
            else:
                maps[target][-1] = _scaled(maps[target][-1], scale, shift)
                folded.skipped[index] = node.sources[0]
                folded.norms.setdefault(target, []).append(index)
    for index, parts in maps.items():
        folded.weights[index] = tuple(_rows(part) for part in parts)
    return folded


@dataclass(frozen=True)
class _Map:
    """A linear map and its weights in double precision."""

    part: Linear
    kernel: np.ndarray
    bias: np.ndarray | None


def is_linear(layer: keras.layers.Layer) -> bool:
    """Whether a layer's activation does nothing."""
    return layer.activation is None or layer.activation is import_keras().activations.linear


def _over_last_axis(node: Node) -> bool:
    axis = node.layer.axis
    axes = [axis] if isinstance(axis, int) else list(axis)
    return axes in ([-1], [len(node.output_shape)])


def _linear_layer_before(graph: Graph, folded: Folded, uses: dict[int, int], index: int) -> int | None:
    while index != MODEL_INPUT and uses[index] == 1:
        if index not in folded.skipped:
            node = graph.nodes[index]
            return index if node.rule is not None and node.rule.ends_linear and is_linear(node.layer) else None
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


def _scaled(map_: _Map, scale: np.ndarray, shift: np.ndarray) -> _Map:
    layer = map_.part.layer
    kernel = map_.kernel * layer.spread(scale)
    bias = shift if map_.bias is None else map_.bias * scale + shift
    return replace(map_, part=map_.part.with_bias(), kernel=kernel, bias=bias)


def _rows(map_: _Map) -> FoldedLayer:
    layer = map_.part.layer
    # A weight beyond float32 becomes infinite here and is reported below.
    with np.errstate(over="ignore"):
        rows = layer.kernel_to_rows(map_.kernel, map_.bias)
    if not np.all(np.isfinite(rows)):
        raise InputError(
            f"layer '{layer.name}': expected finite weights with batch norm folded, received NaN or infinity; "
            "train or load the model again"
        )
    return FoldedLayer(map_.part, rows)


def _array(variable: object) -> np.ndarray:
    # Folding in double precision leaves one rounding, to float32, at the end.
    return np.asarray(variable, dtype=np.float64)
