# SPDX-License-Identifier: Apache-2.0
"""Random weights under which activations keep a spread near one, so that every branch of an activation is met."""

import keras
import numpy as np

# How many of a layer's first weights are depthwise kernels, whose rows see one input channel only.
_DEPTHWISE_KERNELS = {keras.layers.DepthwiseConv2D: 1, keras.layers.SeparableConv2D: 1}


def randomise_weights(model: keras.Model, rng: np.random.Generator) -> None:
    """Give every layer weights drawn from `rng`; batch norms get statistics and scales of both signs."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            _randomise_norm(layer, rng)
            continue
        depthwise_kernels = _DEPTHWISE_KERNELS.get(type(layer), 0)
        values = []
        for position, value in enumerate(layer.get_weights()):
            if value.ndim == 1:
                values.append(rng.uniform(-0.5, 0.5, value.shape))
                continue
            fan_in = np.prod(value.shape[: -2 if position < depthwise_kernels else -1])
            values.append(rng.standard_normal(value.shape) * np.sqrt(2.0 / fan_in))
        layer.set_weights(values)


def _randomise_norm(layer: keras.layers.BatchNormalization, rng: np.random.Generator) -> None:
    shape = layer.moving_mean.shape
    layer.moving_mean.assign(rng.normal(0.0, 0.3, shape))
    layer.moving_variance.assign(rng.uniform(0.3, 2.0, shape))
    if layer.scale:
        layer.gamma.assign(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape, p=[0.2, 0.8]))
    if layer.center:
        layer.beta.assign(rng.normal(0.0, 0.3, shape))
