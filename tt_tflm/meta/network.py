# SPDX-License-Identifier: Apache-2.0
"""A Keras model in TensorFlow as the device computes it: batch norm folded, weights as rows, a frozen part in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.frontend.fold import Folded, FoldedLayer, fold
from tt_tflm.frontend.graph import MODEL_INPUT, flatten
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tt_tflm.frontend.layers import Layer


class RowNetwork:
    """The forward pass with the rows of some layers given, so that they can be trained.

    Args:
        model: accepted by ``tt_tflm.frontend.keras_model.check_model``.

    Attributes:
        layers: the layers with weights, in the order of the graph.
        rows: layer name -> base rows, float32 (channels, stride): weights, bias, padding.

    Example:
        >>> network = RowNetwork(model)
        >>> start = network.start(["block_6_project"])
        >>> values = network.frozen(images, start)           # once
        >>> embeddings = network.trained(values, start, {"block_6_project": rows})
    """

    def __init__(self, model: keras.Model) -> None:
        import_keras()
        self._graph = flatten(model)
        self._folded: Folded = fold(self._graph)
        folded = self._folded.layers()
        self.layers: tuple[Layer, ...] = tuple(entry.layer for entry in folded)
        self.rows: dict[str, np.ndarray] = {entry.layer.name: entry.rows for entry in folded}
        self._places = {entry.layer.name: index for index, parts in self._folded.weights.items() for entry in parts}

    def start(self, layers: Sequence[str]) -> int:
        """The node of the earliest of these layers: everything before it can be computed once."""
        return min(self._places[name] for name in layers)

    def frozen(self, images: tf.Tensor, start: int) -> tuple[tf.Tensor, ...]:
        """What the nodes before ``start`` hand over to the others.

        Args:
            images: float32 (N, *input shape).
            start: from ``start``.

        Returns:
            Tensors, (N, ...) each, for ``trained``.
        """
        values = self._run({MODEL_INPUT: images}, range(start), {})
        return tuple(values[index] for index in self._handed_over(start))

    def trained(self, values: Sequence[tf.Tensor], start: int, rows: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The model's output, flat.

        Args:
            values: from ``frozen`` with the same start.
            start: from ``start``.
            rows: layer name -> rows (channels, stride) in place of the base rows.

        Returns:
            float32 (N, E).
        """
        import tensorflow as tf

        known = dict(zip(self._handed_over(start), values, strict=True))
        done = self._run(known, range(start, len(self._graph.nodes)), rows)
        output = done[self._folded.source(self._graph.output)]
        return tf.reshape(output, (tf.shape(output)[0], -1))

    def _handed_over(self, start: int) -> list[int]:
        wanted = {self._folded.source(self._graph.output)}
        for index in range(start, len(self._graph.nodes)):
            if index not in self._folded.skipped:
                wanted |= {self._folded.source(source) for source in self._graph.nodes[index].sources}
        return sorted(index for index in wanted if index < start)

    def _run(self, values: Mapping[int, Any], nodes: range, rows: Mapping[str, tf.Tensor]) -> dict[int, Any]:
        values = dict(values)
        groups: dict[int, list[Any]] = {}
        for index in nodes:
            if index in self._folded.skipped:
                continue
            node = self._graph.nodes[index]
            sources = [values[self._folded.source(source)] for source in node.sources]
            if index in self._folded.scale_shift:
                scale, shift = self._folded.scale_shift[index]
                values[index] = sources[0] * scale + shift
                continue
            if node.group not in groups:
                groups[node.group] = node.run(_maps(self._folded.weights.get(index, ()), rows), sources)
            values[index] = groups[node.group][node.result]
        return values


def _maps(parts: Sequence[FoldedLayer], rows: Mapping[str, tf.Tensor]) -> Callable[[int, tf.Tensor], tf.Tensor]:
    def apply(number: int, x: tf.Tensor) -> tf.Tensor:
        name = parts[number].layer.name
        kernel, bias = _kernel(parts[number].layer, rows[name] if name in rows else parts[number].rows)
        return parts[number].part.in_tensorflow(x, kernel, bias)

    return apply


def _kernel(layer: Layer, rows: tf.Tensor | np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """As ``Layer.rows_to_kernel``, with gradients; the bias is 0 where the layer has none."""
    import tensorflow as tf

    axes = layer.row_axes
    runs = tf.reshape(rows[:, : layer.row_length], [layer.kernel_shape[axis] for axis in axes])
    return tf.transpose(runs, np.argsort(axes)), rows[:, layer.row_length]
