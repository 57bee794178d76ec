# SPDX-License-Identifier: Apache-2.0
"""What scales and shifts every channel: layer and group normalisation, PReLU.

Scale and shift are one row a channel, like a depthwise convolution of one tap.
"""

from __future__ import annotations

import math
from typing import Any

from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.linear import Linear, Place
from tt_tflm.frontend.quiet import import_tensorflow
from tt_tflm.frontend.weighted.rule import Apply, Call, WeightedLayer, first, weighted


def _by_channel(call: Call, scale: Any, shift: Any) -> list[Linear]:
    """One scale, and perhaps one shift, for each of the last axis."""
    channels = call.output_shape[-1]
    flat = (math.prod(call.output_shape[:-1]), channels)
    layer = Layer.of(call.name, "depthwise", (1, 1, channels, 1), shift is not None, flat, flat)
    return [Linear(layer, Place(scale), None if shift is None else Place(shift))]


def _applied(call: Call, apply: Apply, x: Any) -> Any:
    tf = import_tensorflow()
    flat = tf.reshape(x, (-1, math.prod(call.output_shape[:-1]), call.output_shape[-1]))
    return tf.reshape(apply(0, flat), (-1, *call.output_shape))


def _normalized(x: Any, axes: list[int], epsilon: float) -> Any:
    tf = import_tensorflow()
    mean = tf.reduce_mean(x, axes, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(centred * centred, axes, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon)


# -------------------------------------------------------------- layer and group normalisation


def _check_axis(call: Call) -> None:
    axes = call.layer.axis if isinstance(call.layer.axis, list | tuple) else [call.layer.axis]
    rank = len(call.output_shape)
    if [axis % (rank + 1) for axis in axes] != [rank]:
        raise call.refuse("the last axis", f"axis {call.layer.axis}", "use axis=-1, with a Permute before it")


def _norm_parts(call: Call) -> list[Linear]:
    layer = call.layer
    return [] if layer.gamma is None else _by_channel(call, layer.gamma, layer.beta)


def _scaled(call: Call, apply: Apply, x: Any) -> Any:
    layer = call.layer
    if layer.gamma is not None:
        return _applied(call, apply, x)
    return x if layer.beta is None else x + layer.beta


def _run_layer_norm(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    x, layer = first(inputs), call.layer
    if getattr(layer, "rms_scaling", False):
        x = x * tf.math.rsqrt(tf.reduce_mean(x * x, [-1], keepdims=True) + layer.epsilon)
        return _scaled(call, apply, x)
    return _scaled(call, apply, _normalized(x, [-1], layer.epsilon))


def _run_group_norm(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    layer = call.layer
    channels = call.output_shape[-1]
    groups = channels if layer.groups == -1 else int(layer.groups)
    x = tf.reshape(first(inputs), (-1, math.prod(call.output_shape[:-1]), groups, channels // groups))
    x = tf.reshape(_normalized(x, [1, 3], layer.epsilon), (-1, *call.output_shape))
    return _scaled(call, apply, x)


weighted(
    WeightedLayer(
        ("LayerNormalization",), _norm_parts, _run_layer_norm, _check_axis, handled="composed", limits="last axis"
    )
)
weighted(
    WeightedLayer(
        ("GroupNormalization",), _norm_parts, _run_group_norm, _check_axis, handled="composed", limits="last axis"
    )
)

# -------------------------------------------------------------- PReLU


def _shares_positions(call: Call) -> bool:
    return math.prod(call.layer.alpha.shape) == call.output_shape[-1]


def _prelu_parts(call: Call) -> list[Linear]:
    return _by_channel(call, call.layer.alpha, None) if _shares_positions(call) else []


def _run_prelu(call: Call, apply: Apply, inputs: list[Any]) -> Any:
    tf = import_tensorflow()
    x = first(inputs)
    negative = tf.minimum(x, 0.0)
    scaled = _applied(call, apply, negative) if _shares_positions(call) else negative * call.layer.alpha
    return tf.maximum(x, 0.0) + scaled


weighted(WeightedLayer(("PReLU",), _prelu_parts, _run_prelu, handled="composed"))
