# SPDX-License-Identifier: Apache-2.0
"""Simulated int8 weights: a model computes with the weights that quantisation would leave, and learns through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.frontend.quiet import import_keras
from tt_tflm.frontend.weighted.dense import einsum_axes

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# The op divides by the range: a channel of zeros gets one that rounds to zeros.
_SMALLEST_RANGE = 1e-12


def linear_kernels(model: keras.Model) -> list[tuple[Any, tuple[int, ...]]]:
    """Kernels of the convolutions and dense layers, and the axes of each that are output channels."""
    found = []
    for layer in model._flatten_layers(include_self=False):
        for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            kernel = getattr(layer, name, None)
            if kernel is not None and len(kernel.shape) > 1:
                found.append((kernel, _channel_axes(type(layer).__name__, name, layer)))
    return found


def _channel_axes(kind: str, name: str, layer: keras.layers.Layer) -> tuple[int, ...]:
    if name == "depthwise_kernel" or kind.startswith("DepthwiseConv"):
        return (-2, -1)
    if kind == "EinsumDense":
        _, made = einsum_axes(layer) or (0, 1)
        return tuple(range(-made, 0))
    return (-2,) if kind.endswith("Transpose") else (-1,)


def _order(kernel: tf.Tensor, channels: tuple[int, ...]) -> list[int]:
    last = [axis % len(kernel.shape) for axis in channels]
    return [axis for axis in range(len(kernel.shape)) if axis not in last] + last


def by_channel(kernel: tf.Tensor, channels: tuple[int, ...]) -> tf.Tensor:
    """A kernel as (weights of a channel, output channels); ``channels`` as of ``linear_kernels``."""
    import tensorflow as tf

    moved = tf.transpose(kernel, _order(kernel, channels))
    return tf.reshape(moved, (-1, tf.reduce_prod(tf.shape(moved)[-len(channels) :])))


def fake_quantized(kernel: tf.Tensor, channels: tuple[int, ...]) -> tf.Tensor:
    """Weights as TFLite rounds them: int8 from -127 to 127, symmetric, one step size for each output channel.

    A batch norm that is folded into the kernel multiplies a channel and its step size by one number: rounding before or
    after folding is the same. The gradient passes unchanged (straight-through).

    Args:
        kernel: float32.
        channels: its axes that are output channels, counted from behind.

    Returns:
        float32 of the same shape, multiples of the step sizes.
    """
    import tensorflow as tf

    order = _order(kernel, channels)
    rows = by_channel(kernel, channels)
    limit = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(rows), axis=0), _SMALLEST_RANGE))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        rows, -limit, limit, num_bits=8, narrow_range=True
    )
    moved = tf.gather(tf.shape(kernel), order)
    return tf.transpose(tf.reshape(rounded, moved), np.argsort(order))


def call_fake_quantized(
    model: keras.Model, kernels: list[tuple[Any, tuple[int, ...]]], images: tf.Tensor, *, training: bool
) -> tf.Tensor:
    """What a model returns with the given kernels fake-quantised; its variables keep their numbers.

    Args:
        model: of images.
        kernels: from ``linear_kernels``.
        images: float32 (N, H, W, C).
        training: whether batch norms take their statistics from the batch; then they also move them.
    """
    keras = import_keras()
    mapping = [(kernel, fake_quantized(kernel.value, channels)) for kernel, channels in kernels]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        output = model(images, training=training)
    if training:
        # Within the scope nothing is assigned: moved statistics are handed over here.
        for variable in model.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
    return output
