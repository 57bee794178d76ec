# SPDX-License-Identifier: Apache-2.0
"""Layers with weights are linear maps and what is around them, whoever wrote them: the same numbers as Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_tflm.frontend.quiet import import_keras, import_tensorflow
from tt_tflm.meta.network import RowNetwork

keras = import_keras()
tf = import_tensorflow()
L = keras.layers


class Block(L.Layer):
    """A class of a user: one layer within is called twice, one has no bias, one weight is its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.twice = L.Dense(5)
        self.once = L.Dense(3, use_bias=False)
        self.norm = L.LayerNormalization()

    def build(self, _shape: Any) -> None:
        self.own = self.add_weight(shape=(3,))

    def call(self, x: Any) -> Any:
        return self.norm(self.once(tf.nn.relu(self.twice(x))) + self.once(self.twice(x * 2.0))) + self.own


def _sequential(shape: tuple[int, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def _attention(**options: Any) -> Any:
    x = keras.Input((6, 4))
    return keras.Model(x, L.MultiHeadAttention(2, 3)(x, x, **options))


def _states() -> Any:
    x = keras.Input((6, 4))
    _, h, c = L.LSTM(3, return_state=True)(x)
    return keras.Model(x, L.LSTM(3)(x[:, ::2], initial_state=[h, c]))


class Dropout(L.Layer):
    """A name tells nothing: this one doubles, and calls a layer that is called elsewhere too."""

    def __init__(self, inner: Any, **options: Any) -> None:
        super().__init__(**options)
        self.inner = inner

    def call(self, x: Any) -> Any:
        return 2.0 * self.inner(x)


def _one_kernel_in_two_places() -> Any:
    x, inner = keras.Input((4,)), L.Dense(4)
    # A norm that were folded into one of the uses would be in the other too.
    return keras.Model(x, L.BatchNormalization()(inner(x)) + Dropout(inner)(x))


def _siamese() -> Any:
    a, b = keras.Input((5, 5, 2)), keras.Input((5, 5, 2))
    tower = _sequential((5, 5, 2), L.Conv2D(3, 3), L.BatchNormalization(), L.Flatten(), L.Dense(4))
    return keras.Model([a, b], keras.ops.abs(tower(a) - tower(b)))


MODELS: dict[str, tuple[Callable[[], Any], int]] = {
    "dilated and grouped": (
        lambda: _sequential(
            (8, 7, 3),
            L.Conv2D(4, 3, dilation_rate=2, padding="same"),
            L.Conv2D(8, 3, strides=(2, 1), groups=2, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
        ),
        2,
    ),
    "depthwise of every stride": (
        lambda: _sequential(
            (9, 8, 3),
            L.DepthwiseConv2D((3, 2), dilation_rate=2, depth_multiplier=2),
            L.DepthwiseConv2D(3, strides=2, padding="same"),
        ),
        2,
    ),
    "transposed": (
        lambda: _sequential(
            (4, 5, 3),
            L.Conv2DTranspose(4, 3, strides=2, padding="same"),
            L.BatchNormalization(),
            L.Conv2DTranspose(2, (2, 3), strides=(3, 2)),
            L.Conv2DTranspose(3, 4, padding="same"),
        ),
        3,
    ),
    "sequences": (
        lambda: _sequential(
            (9, 3),
            L.Conv1D(4, 3, padding="causal", dilation_rate=2),
            L.DepthwiseConv1D(3, padding="same"),
            L.SeparableConv1D(5, 3, strides=2, padding="same"),
            L.Conv1DTranspose(3, 3, strides=2, padding="same"),
        ),
        5,
    ),
    "lstm": (lambda: _sequential((5, 3), L.LSTM(4, return_sequences=True), L.LSTM(3, go_backwards=True)), 4),
    "gru": (lambda: _sequential((5, 3), L.GRU(4, return_sequences=True), L.GRU(3, reset_after=False)), 4),
    "lstm of one step": (lambda: _sequential((1, 3), L.LSTM(4), L.Dense(2)), 2),
    "simple rnn": (lambda: _sequential((5, 3), L.SimpleRNN(4)), 2),
    "bidirectional": (
        lambda: _sequential(
            (5, 3),
            L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.Bidirectional(L.GRU(2), merge_mode="sum"),
        ),
        8,
    ),
    "states": (_states, 4),
    "attention": (_attention, 4),
    "causal attention": (lambda: _attention(use_causal_mask=True), 4),
    "normalisation": (
        lambda: _sequential(
            (5, 4), L.LayerNormalization(), L.GroupNormalization(2), L.PReLU(shared_axes=[1]), L.PReLU()
        ),
        3,
    ),
    "step by step": (
        lambda: _sequential(
            (3, 6, 6, 2),
            L.TimeDistributed(L.Conv2D(3, 3)),
            L.TimeDistributed(L.GlobalAveragePooling2D()),
            L.TimeDistributed(L.Dense(3)),
        ),
        2,
    ),
    "a class of one's own": (lambda: _sequential((4,), Block(), L.Dense(2)), 4),
    "two towers of one": (_siamese, 2),
    "one kernel in two places": (_one_kernel_in_two_places, 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_is_its_linear_maps(name: str, set_weights: Callable[..., Any]) -> None:
    make, maps = MODELS[name]
    model = set_weights(make())
    rng = np.random.default_rng(1)
    inputs = [rng.uniform(-1, 1, (2, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    expected = np.asarray(model(inputs if len(inputs) > 1 else inputs[0])).reshape(2, -1)

    network = RowNetwork(model)
    # What has several inputs takes them as one, each flat behind the one before.
    x = inputs[0] if len(inputs) == 1 else np.concatenate([value.reshape(2, -1) for value in inputs], 1)
    received = network.trained([tf.constant(x)], 0, {})

    assert len(network.layers) == maps
    assert len({layer.name for layer in network.layers}) == maps
    np.testing.assert_allclose(received, expected, atol=1e-5 * np.abs(expected).max())
