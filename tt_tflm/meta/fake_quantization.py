# SPDX-License-Identifier: Apache-2.0
"""Simulated int8 weights: a model computes with the weights that quantisation would leave, and learns through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tt_tflm.frontend.quiet import import_keras

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# The op divides by the range: a channel of zeros gets one that rounds to zeros.
_SMALLEST_RANGE = 1e-12


def linear_kernels(model: keras.Model) -> list[tuple[Any, int]]:
    """Kernels of the convolutions and dense layers, and how many of their last axes are output channels."""
    found = []
    for layer in model._flatten_layers(include_self=False):
        for name, axes in (("kernel", 1), ("depthwise_kernel", 2), ("pointwise_kernel", 1)):
            kernel = getattr(layer, name, None)
            if kernel is not None and len(kernel.shape) > 1:
                found.append((kernel, 2 if type(layer).__name__ == "DepthwiseConv2D" else axes))
    return found


def fake_quantized(kernel: tf.Tensor, axes: int) -> tf.Tensor:
    """Weights as TFLite rounds them: int8 from -127 to 127, symmetric, one step size for each output channel.

    A batch norm that is folded into the kernel multiplies a channel and its step size by one number: rounding before or
    after folding is the same. The gradient passes unchanged (straight-through).

    Args:
        kernel: float32.
        axes: how many of its last axes, one or two, are output channels.

    Returns:
        float32 of the same shape, multiples of the step sizes.
    """
    import tensorflow as tf

    shape = tf.shape(kernel)
    rows = tf.reshape(kernel, (-1, tf.reduce_prod(shape[-axes:])))
    limit = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(rows), axis=0), _SMALLEST_RANGE))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        rows, -limit, limit, num_bits=8, narrow_range=True
    )
    return tf.reshape(rounded, shape)


def call_fake_quantized(
    model: keras.Model, kernels: list[tuple[Any, int]], images: tf.Tensor, *, training: bool
) -> tf.Tensor:
    """What a model returns with the given kernels fake-quantised; its variables keep their numbers.

    Args:
        model: of images.
        kernels: from ``linear_kernels``.
        images: float32 (N, H, W, C).
        training: whether batch norms take their statistics from the batch; then they also move them.
    """
    keras = import_keras()
    mapping = [(kernel, fake_quantized(kernel.value, axes)) for kernel, axes in kernels]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        output = model(images, training=training)
    if training:
        # Within the scope nothing is assigned: moved statistics are handed over here.
        for variable in model.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
    return output
