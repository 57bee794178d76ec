# SPDX-License-Identifier: Apache-2.0
"""Trained rows back into a Keras model: the folding of batch norms undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.fold import FoldedLayer, fold, scale_and_shift
from tt_tflm.frontend.graph import Node, flatten
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.linear import Place

if TYPE_CHECKING:
    import keras

# A channel that a batch norm scales by less than that is as good as cut off: its kernel cannot carry what was learned.
_LEAST_SCALE = 1e-12


def write_rows(model: keras.Model, rows: Mapping[str, tuple[Sequence[int], np.ndarray]]) -> None:
    """Set channels of a model's layers so that, with batch norms folded, their rows are those given.

    With s the scale of the batch norms behind a layer, its kernel becomes row / s, and the beta of the last norm (its
    moving mean, where it has no beta) takes up the bias. A gamma of zero, which would hide the kernel, is set so that s
    is 1. Channels that are not named keep their numbers to the bit.

    Args:
        model: changed in place.
        rows: layer name -> channels, and float32 (channels, row_length + 1 or more) rows with the bias at row_length.

    Raises:
        InputError: a layer is not in the model, or a number would leave the range of float32.
    """
    graph = flatten(model)
    folded = fold(graph)
    left = set(rows)
    for index, parts in folded.weights.items():
        for part in parts:
            if part.layer.name in rows:
                norms = [graph.nodes[i] for i in folded.norms.get(index, ())] if part is parts[-1] else []
                _write(graph.nodes[index], part, norms, *rows[part.layer.name])
                left.remove(part.layer.name)
    if left:
        raise InputError(f"model '{model.name}': expected a layer '{sorted(left)[0]}', received none of that name")


def _write(node: Node, part: FoldedLayer, norms: list[Node], channels: Sequence[int], rows: np.ndarray) -> None:
    layer, chosen = part.layer, np.asarray(channels, int)
    plain = Layer.of(layer.name, layer.kind, layer.kernel_shape, False, layer.input_shape, layer.output_shape)
    scale = _scale(norms, chosen)
    kernel = part.part.kernel.read().reshape(layer.kernel_shape).astype(np.float32)
    stored = plain.kernel_to_rows(kernel, None)
    stored[chosen, : layer.row_length] = rows[:, : layer.row_length].astype(np.float64) / scale[:, None]
    _assign(node, part.part.kernel, plain.rows_to_kernel(stored)[0])
    if layer.bias:
        _write_bias(node, part.part.bias, norms, chosen, rows[:, layer.row_length].astype(np.float64))


def _scale(norms: list[Node], chosen: np.ndarray) -> np.ndarray:
    """Of the chosen channels by all norms together, after no norm hides a channel any more."""
    total = np.ones(len(chosen))
    for norm in norms:
        scale = scale_and_shift(norm)[0][chosen]
        hidden = np.abs(scale) < _LEAST_SCALE
        if norm.layer.gamma is not None and hidden.any():
            gamma = np.asarray(norm.layer.gamma, np.float32).copy()
            unit = np.sqrt(np.asarray(norm.layer.moving_variance, np.float64) + norm.layer.epsilon)
            gamma[chosen[hidden]] = unit[chosen[hidden]]
            norm.layer.gamma.assign(gamma)
            scale = scale_and_shift(norm)[0][chosen]
        total *= scale
    return total


def _write_bias(node: Node, own: Place | None, norms: list[Node], chosen: np.ndarray, bias: np.ndarray) -> None:
    before = np.zeros(len(chosen)) if own is None else own.read().reshape(-1)[chosen]
    if not norms and own is not None:
        _assign(node, own, _with(own, chosen, bias))
        return
    for norm in norms[:-1]:
        scale, shift = scale_and_shift(norm)
        before = before * scale[chosen] + shift[chosen]
    last = norms[-1].layer
    scale = scale_and_shift(norms[-1])[0][chosen]
    if last.beta is not None:
        mean = np.asarray(last.moving_mean, np.float64)[chosen]
        _assign(node, Place(last.beta), _with(Place(last.beta), chosen, bias - (before - mean) * scale))
    else:
        _assign(node, Place(last.moving_mean), _with(Place(last.moving_mean), chosen, before - bias / scale))


def _with(place: Place, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    array = place.read().reshape(-1).astype(np.float32)
    with np.errstate(over="ignore"):
        array[chosen] = values
    return array


def _assign(node: Node, place: Place, values: np.ndarray) -> None:
    if not np.all(np.isfinite(values)):
        raise InputError(
            f"layer '{node.name}': expected weights within float32 when its batch norm is unfolded, received infinity "
            "or NaN; train the model again with larger gammas"
        )
    place.write(values)
