# SPDX-License-Identifier: Apache-2.0
"""Which variable of Keras a row of a board is, and by what batch norm was folded into it: told from the values.

No clone of the model is made, which would have to know every layer and every wiring. What is trained on a board is K s
for a Keras kernel K and the scale s of the batch norm behind it, if one was folded; so dL/d(K s) is dL/dK / s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np

from zoo.weights import all_layers

_CLOSE = 1e-5


@dataclass(frozen=True)
class Row:
    """One tensor of ``board.weights()``.

    Attributes:
        variable: of Keras; the board's gradient is that of this variable times `factor`.
        factor: broadcasts against the variable.
        part: index of what is meant of its first axis, as a GRU keeps two biases in one; None for all of it.
    """

    variable: keras.Variable
    factor: np.ndarray
    part: int | None = None

    def gradient(self, of_variable: np.ndarray) -> np.ndarray:
        """Of the board's tensor."""
        return (of_variable if self.part is None else of_variable[self.part]) * self.factor


class UnknownRowError(Exception):
    """A tensor of a board is none of the model's, as far as the zoo can tell."""


def match_rows(model: keras.Model, names: list[str], weights: dict[str, np.ndarray]) -> dict[str, Row]:
    """The tensors of some layers of a board, by their keys.

    Args:
        model: that was converted.
        names: of the layers.
        weights: as ``board.weights()`` gives them.

    Raises:
        UnknownRowError: one is not found.
    """
    rows = {}
    for name in names:
        layers = _candidates(model, name)
        keys = sorted((key for key in weights if key.rsplit("/", 1)[0] == name), reverse=True)  # kernel before bias
        scale: np.ndarray | None = None
        for key in keys:
            value = weights[key].astype(np.float64)
            if value.ndim > 1:
                rows[key], scale = _kernel(key, layers, value)
                # Layers of nested models may share a name: what a kernel is from, its bias is from.
                layers = [layer for layer in layers if any(rows[key].variable is own for own in layer.weights)]
            else:
                rows[key] = _vector(key, model, layers, value, scale)
        if not keys:
            raise UnknownRowError(f"{name}: none of its weights among {sorted(weights)[:4]}...")
    return rows


def _candidates(model: keras.Model, name: str) -> list[keras.layers.Layer]:
    parts = name.split("/")
    layers = [layer for layer in all_layers(model) if layer.name in parts]
    # The innermost first: "model/dense" is the Dense, "separable/depthwise" the one layer of that name.
    return sorted(layers, key=lambda layer: parts.index(layer.name), reverse=True) or list(all_layers(model))


def _variables(layers: list[keras.layers.Layer]) -> list[keras.Variable]:
    return [variable for layer in layers for variable in layer.weights]


def _kernel(key: str, layers: list[keras.layers.Layer], value: np.ndarray) -> tuple[Row, np.ndarray]:
    for layer, variable in ((owner, weight) for owner in layers for weight in owner.weights):
        if math.prod(variable.shape) != value.size:
            continue
        own = np.asarray(variable, np.float64)
        # A depthwise kernel has a channel for each of its last two axes.
        depthwise = "Depthwise" in type(layer).__name__ or "depthwise" in variable.name
        channels = own.shape[-2 if depthwise else -1 :]
        if getattr(layer, "lora_enabled", False):
            own = np.asarray(layer.kernel, np.float64)  # with its low-rank part, as the frozen part is moved by it
        elif math.prod(channels) == value.size and not np.allclose(own.ravel(), value.ravel(), rtol=_CLOSE):
            continue  # any two vectors are the same up to a scale for each channel
        ratio = _ratio(own.reshape(-1, math.prod(channels)), value.reshape(-1, math.prod(channels)))
        if ratio is not None:
            return Row(variable, (1.0 / ratio).reshape(channels)), ratio
    raise UnknownRowError(f"{key}: no variable with these values up to a scale for each channel")


def _ratio(own: np.ndarray, value: np.ndarray) -> np.ndarray | None:
    """value = own * ratio, one for each column; None where it is not so."""
    squares = np.sum(own * own, axis=0)
    if np.any(squares == 0):
        return None
    ratio = np.sum(own * value, axis=0) / squares
    error = np.max(np.abs(own * ratio - value))
    return ratio if error <= _CLOSE * np.max(np.abs(value)) and np.all(ratio != 0) else None


def _vector(
    key: str, model: keras.Model, layers: list[keras.layers.Layer], value: np.ndarray, scale: np.ndarray | None
) -> Row:
    names = ("bias", "beta")
    own = [v for v in _variables(layers) if any(name in v.name for name in names) and len(v.shape) <= 2]
    for variable in own:
        if math.prod(variable.shape) % value.size:
            continue
        if math.prod(variable.shape) == value.size:
            factor = np.ones(value.size) if scale is None or scale.size != value.size else 1.0 / scale
            return Row(variable, factor.reshape(variable.shape))
        for part, one in enumerate(np.asarray(variable, np.float64).reshape(-1, value.size)):
            if len(variable.shape) == 2 and np.allclose(one, value, rtol=_CLOSE):
                return Row(variable, np.ones(value.size), part)
    for norm in all_layers(model):
        if isinstance(norm, keras.layers.BatchNormalization) and norm.center and scale is not None:
            factor = 1.0 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
            factor = factor * np.asarray(norm.gamma) if norm.scale else factor
            if factor.shape == scale.shape and np.allclose(factor, scale, rtol=1e-4):
                return Row(norm.beta, np.ones(value.size))
    raise UnknownRowError(f"{key}: neither a bias of the layer nor the shift of a batch norm")
