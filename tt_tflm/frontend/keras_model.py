# SPDX-License-Identifier: Apache-2.0
"""Refuse of a Keras model, with a reason and a remedy, what cannot become a trainable build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.frontend.fold import fold
from tt_tflm.frontend.graph import Node, flatten
from tt_tflm.frontend.layers import activation_name, activations
from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras


def check_model(model: keras.Model) -> None:
    """Check that every part of a model can be imported; returns nothing.

    Raises:
        InputError: the input or output is not as expected, or a weight is NaN or infinite.
        UnsupportedLayerError: a layer, or an option of one, is not supported; names the layer and what to do.
    """
    graph = flatten(model)
    for node in graph.nodes:
        _check_layer(node)
        _check_weights(node)
    fold(graph)


def _check_layer(node: Node) -> None:
    layer = node.layer
    if layer.compute_dtype != "float32" or getattr(layer, "quantization_mode", None) is not None:
        received = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        _refuse(node, "float32", str(received), "rebuild the model with the float32 policy")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        _refuse(node, "data_format channels_last", layer.data_format, "rebuild it with channels_last")
    if not 1 <= len(node.output_shape) <= 3:
        _refuse(node, "one to three axes besides the batch", str(node.output_shape), "reshape to fewer axes")
    if hasattr(layer, "activation") and activation_name(layer.activation) is None:
        _refuse_activation(node)
    for expected, holds, received, remedy in _OPTIONS.get(type(layer).__name__, ()):
        if not holds(node):
            _refuse(node, expected, str(received(layer)), remedy if isinstance(remedy, str) else remedy(layer))


def _refuse_activation(node: Node) -> None:
    activation = node.layer.activation
    if isinstance(activation, import_keras().layers.Layer):
        kind = type(activation).__name__
        _refuse(
            node, "a function as activation", f"the layer {kind}", f"leave the activation out and put {kind} after it"
        )
    name = getattr(activation, "__name__", type(activation).__name__)
    known = f"one of Keras' activations {', '.join(activations())}"
    remedy = f"write activation='{name}'" if name in activations() else "use one of these"
    _refuse(node, known, f"'{name}' of {getattr(activation, '__module__', '?')}", remedy)


def _check_weights(node: Node) -> None:
    for weight in node.layer.weights:
        values = np.asarray(weight)
        if not np.all(np.isfinite(values)):
            found = "NaN" if np.any(np.isnan(values)) else "infinity"
            raise InputError(
                f"layer '{node.name}' ({type(node.layer).__name__}), weight '{weight.name}': expected finite numbers, "
                f"received {found}; train or load the model again"
            )


def _refuse(node: Node, expected: str, received: str, remedy: str) -> None:
    raise UnsupportedLayerError(
        f"layer '{node.name}' ({type(node.layer).__name__}): expected {expected}, received {received}; {remedy}"
    )


_Option = tuple[str, Callable[[Node], bool], Callable[[Any], object], str | Callable[[Any], str]]


def _ones(value: object) -> bool:
    return all(size == 1 for size in np.atleast_1d(value))


def _spread(layer: Any) -> tuple[int, ...]:
    """Size of a kernel with the gaps that dilation leaves."""
    return tuple((size - 1) * gap + 1 for size, gap in zip(layer.kernel_size, layer.dilation_rate, strict=True))


def _is_last_axis(node: Node) -> bool:
    axis = node.layer.axis
    axes = [axis] if isinstance(axis, int) else list(axis)
    return axes in ([-1], [len(node.output_shape)])


_DILATION: _Option = (
    "dilation_rate 1",
    lambda node: _ones(node.layer.dilation_rate),
    lambda layer: layer.dilation_rate,
    lambda layer: f"use dilation_rate=1 and kernel_size={_spread(layer)}, with zeros between the weights",
)
_GROUPS: _Option = (
    "groups 1",
    lambda node: node.layer.groups == 1,
    lambda layer: layer.groups,
    "use groups=1, or a DepthwiseConv2D and a 1x1 Conv2D",
)
_EQUAL_STRIDES: _Option = (
    "equal strides",
    lambda node: len(set(np.atleast_1d(node.layer.strides).tolist())) == 1,
    lambda layer: layer.strides,
    "use one stride for both axes",
)
_NOT_CAUSAL: _Option = (
    "padding valid or same",
    lambda node: node.layer.padding in ("valid", "same"),
    lambda layer: layer.padding,
    lambda layer: f"put a ZeroPadding1D(({_spread(layer)[0] - 1}, 0)) before it and use padding='valid'",
)
_LAST_AXIS: _Option = (
    "the last axis",
    _is_last_axis,
    lambda layer: f"axis {layer.axis}",
    "use axis=-1, with a Reshape before it if need be",
)
_THRESHOLD: _Option = (
    "threshold 0",
    lambda node: node.layer.threshold == 0,
    lambda layer: layer.threshold,
    "use threshold=0",
)
_NOT_BATCH: _Option = (
    "an axis other than the batch",
    lambda node: node.layer.axis % (len(node.output_shape) + 1) != 0,
    lambda layer: f"axis {layer.axis}",
    "concatenate along another axis",
)

_OPTIONS: dict[str, tuple[_Option, ...]] = {
    "Conv2D": (_DILATION, _GROUPS),
    "DepthwiseConv2D": (_DILATION, _EQUAL_STRIDES),
    "SeparableConv2D": (_DILATION, _EQUAL_STRIDES),
    "Conv1D": (_DILATION, _GROUPS, _NOT_CAUSAL),
    "BatchNormalization": (_LAST_AXIS,),
    "Softmax": (_LAST_AXIS,),
    "ReLU": (_THRESHOLD,),
    "Concatenate": (_NOT_BATCH,),
}
