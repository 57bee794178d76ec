# SPDX-License-Identifier: Apache-2.0
"""Random weights under which no part of a zoo's model is idle, whatever it is made of."""

import math
import zlib
from collections.abc import Iterator
from unittest import mock

import keras
import numpy as np

from zoo.registry import ZooModel

_SAMPLES = 8


def make_model(entry: ZooModel) -> keras.Model:
    """A model of the zoo with weights of its own, the same in every run; cut where its entry says so."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(
        free_memory=False
    )  # so that names that Keras numbers do not depend on what was built before
    model = entry.build()
    if entry.cut:
        # The last call: a model inside a model has been called on its own input before.
        (output,) = model.get_layer(entry.cut)._inbound_nodes[-1].output_tensors
        model = keras.Model(model.inputs if len(model.inputs) > 1 else model.inputs[0], output, name=model.name)
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()))
    _draw_weights(model, rng)
    _settle_norms(model, batch(entry, model, rng, _SAMPLES), rng)
    return model


def batch(entry: ZooModel, model: keras.Model, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Random samples in the range of a model's inputs: an array (count, *shape) for each, of its dtype."""
    arrays = []
    for tensor in model.inputs:
        size = (count, *tensor.shape[1:])
        if np.issubdtype(tensor.dtype, np.integer):
            arrays.append(rng.integers(int(entry.low), int(entry.high), size, endpoint=True).astype(tensor.dtype))
        else:
            arrays.append(rng.uniform(entry.low, entry.high, size).astype(tensor.dtype))
    return arrays


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer once, those in nested models and wrappers too."""
    seen: set[int] = set()
    for layer in model._flatten_layers(include_self=False):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer


def _draw_weights(model: keras.Model, rng: np.random.Generator) -> None:
    for layer in all_layers(model):
        if isinstance(layer, (keras.layers.BatchNormalization, keras.layers.Normalization)):
            continue
        for variable in layer._trainable_variables:
            variable.assign(_drawn(layer, variable, rng))


def _drawn(layer: keras.layers.Layer, variable: keras.Variable, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(variable.shape)
    if variable.name in ("gamma", "scale"):
        return rng.uniform(0.5, 1.5, shape)
    if variable.name == "alpha":  # PReLU
        return rng.uniform(0.1, 0.4, shape)
    if variable.name in ("bias", "beta") or len(shape) < 2:
        return rng.uniform(-0.3, 0.3, shape)
    if isinstance(layer, keras.layers.Embedding):
        return rng.standard_normal(shape)
    # Recurrences and attention saturate or forget where ReLU nets only keep their spread.
    spread = 1.0 if "recurrent" in variable.name or "Attention" in type(layer).__name__ else math.sqrt(2.0)
    is_depthwise = "depthwise" in variable.path.lower() and "pointwise" not in variable.name
    fan_in = math.prod(shape[: -2 if is_depthwise else -1])
    return rng.standard_normal(shape) * spread / math.sqrt(fan_in)


def _settle_norms(model: keras.Model, samples: list[np.ndarray], rng: np.random.Generator) -> None:
    """Statistics that are roughly those of the samples, so that depth neither blows activations up nor stills them."""

    def call(norm: keras.layers.BatchNormalization, inputs, training=None, mask=None):
        axes = [axis for axis in range(len(inputs.shape)) if axis != norm.axis % len(inputs.shape)]
        values = np.asarray(inputs, np.float64)
        variance = values.var(tuple(axes)) + 1e-2 * values.var() + 1e-6
        norm.moving_variance.assign(variance * rng.uniform(0.5, 2.0, variance.shape))
        norm.moving_mean.assign(values.mean(tuple(axes)) + 0.3 * np.sqrt(variance) * rng.normal(size=variance.shape))
        if norm.scale:
            signs = rng.choice([-1.0, 1.0], variance.shape, p=[0.1, 0.9])
            norm.gamma.assign(rng.uniform(0.5, 1.5, variance.shape) * signs)
        if norm.center:
            norm.beta.assign(rng.normal(0.0, 0.3, variance.shape))
        return original(norm, inputs, training=False)

    original = keras.layers.BatchNormalization.call
    with mock.patch.object(keras.layers.BatchNormalization, "call", call):
        model(samples if len(samples) > 1 else samples[0], training=False)
