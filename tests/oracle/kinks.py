# SPDX-License-Identifier: Apache-2.0
"""How far a sample stays from the points where a net has no derivative, where two correct programs may differ."""

import keras
import numpy as np
import tensorflow as tf

from .folding import fold_batch_norm

_ACTIVATION_KINKS = {
    keras.activations.relu: (0.0,),
    keras.activations.relu6: (0.0, 6.0),
    keras.activations.leaky_relu: (0.0,),
    keras.activations.hard_silu: (-3.0, 3.0),
    keras.activations.hard_sigmoid: (-3.0, 3.0),
}
_MAX_POOLS = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
_GLOBAL_MAX_POOLS = (keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)


class KinkMeter:
    """Measures in float64, so that its own rounding cannot hide a kink."""

    def __init__(self, model: keras.Model):
        folded = fold_batch_norm(model, "float64")
        self._checks = [(layer, kinks_of(layer)) for layer in folded.layers if _may_kink(layer)]
        self._taps = keras.Model(folded.input, [layer.input for layer, _ in self._checks]) if self._checks else None

    def margin(self, x: np.ndarray) -> float:
        """Smallest distance of any pre-activation to a kink, or between the two largest of a pooling window.

        Relative to the largest magnitude of the tensor it is found in; infinite where the net is smooth.
        """
        if self._taps is None:
            return float("inf")
        taps = self._taps(x[None], training=False)
        values = [value.numpy() for value in (taps if isinstance(taps, list) else [taps])]
        return min(_margin(layer, kinks, value) for (layer, kinks), value in zip(self._checks, values, strict=True))


def kinks_of(layer: keras.layers.Layer) -> tuple[float, ...]:
    """The inputs at which an activation layer has no derivative; empty for all other layers."""
    if isinstance(layer, keras.layers.ReLU):
        return (0.0,) if layer.max_value is None else (0.0, float(layer.max_value))
    if isinstance(layer, keras.layers.LeakyReLU):
        return (0.0,)
    return _ACTIVATION_KINKS.get(getattr(layer, "activation", None), ())


def _may_kink(layer: keras.layers.Layer) -> bool:
    return bool(kinks_of(layer)) or isinstance(layer, (*_MAX_POOLS, *_GLOBAL_MAX_POOLS))


def _margin(layer: keras.layers.Layer, kinks: tuple[float, ...], value: np.ndarray) -> float:
    scale = max(float(np.max(np.abs(value))), 1e-30)
    if kinks:
        # A value that is exactly on a kink comes from an exact zero, which every program computes alike.
        distances = [np.abs(value - kink) for kink in kinks]
        return min((float(d[d > 0].min()) for d in distances if np.any(d > 0)), default=float("inf")) / scale
    ordered = np.sort(_windows(layer, value), axis=-1)
    if ordered.shape[-1] < 2:
        return float("inf")
    gaps = ordered[..., -1] - ordered[..., -2]
    # Equal values come from clipping or from padding; the gradient is then zero, or alike whichever is taken.
    return float(gaps[gaps > 0].min(initial=np.inf)) / scale


def _windows(layer: keras.layers.Layer, value: np.ndarray) -> np.ndarray:
    """Pooling windows along the last axis."""
    batch, channels = value.shape[0], value.shape[-1]
    if isinstance(layer, _GLOBAL_MAX_POOLS):
        return np.moveaxis(value.reshape(batch, -1, channels), 1, -1)
    if value.ndim == 3:
        value = value[:, :, None, :]
    pool, strides = tuple(layer.pool_size), tuple(layer.strides)
    if len(pool) == 1:
        pool, strides = (pool[0], 1), (strides[0], 1)
    # extract_patches pads with zeros: a shift keeps these below every value.
    patches = tf.image.extract_patches(
        value - value.min() + 1.0, (1, *pool, 1), (1, *strides, 1), (1, 1, 1, 1), layer.padding.upper()
    ).numpy()
    return np.moveaxis(patches.reshape(*patches.shape[:3], -1, channels), -2, -1)
