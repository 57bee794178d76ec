# SPDX-License-Identifier: Apache-2.0
"""The network over rows against Keras itself, split anywhere."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle.boards import relative_error

from tt_tflm.meta.network import RowNetwork


def with_all_kinds() -> keras.Model:
    """Convolutions of every kind, batch norms that fold and one that does not, a branch."""
    keras.utils.set_random_seed(5)
    image = layers.Input((9, 8, 3))
    x = layers.Conv2D(4, 3, 2, "same", use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="folded")(x)
    x = skip = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = layers.BatchNormalization(name="alone")(x)
    x = layers.Add()([x, skip])
    x = layers.SeparableConv2D(6, 3, 2, "same", activation="tanh", name="separable")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Reshape((-1, 6))(x)
    x = layers.Conv1D(5, 2, name="conv1d")(x)
    x = layers.Flatten()(x)
    model = keras.Model(image, layers.Dense(7, activation="sigmoid", name="dense")(x))
    draw = np.random.default_rng(6)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights([draw.uniform(0.5, 1.5, count) for _ in range(4)])
    return model


NAMES = ["conv", "depthwise", "separable/depthwise", "separable/pointwise", "conv1d", "dense"]


def test_output_is_that_of_keras_wherever_it_is_split() -> None:
    model = with_all_kinds()
    network = RowNetwork(model)
    assert [layer.name for layer in network.layers] == NAMES
    x = np.random.default_rng(7).normal(size=(4, 9, 8, 3)).astype(np.float32)
    expected = model(x, training=False).numpy().reshape(4, -1)
    for name in NAMES:
        start = network.start([name])
        output = network.trained(network.frozen(tf.constant(x), start), start, {})
        assert relative_error(output.numpy(), expected) < 1e-5, name


@pytest.mark.parametrize("name", NAMES)
def test_given_rows_take_the_place_of_base_rows_with_gradients(name: str) -> None:
    model = with_all_kinds()
    network = RowNetwork(model)
    x = tf.constant(np.random.default_rng(8).normal(size=(2, 9, 8, 3)).astype(np.float32))
    start = network.start([name])
    rows = tf.Variable(network.rows[name])
    with tf.GradientTape() as tape:
        output = network.trained(network.frozen(x, start), start, {name: rows})
        loss = tf.reduce_sum(tf.square(output))
    gradient = tape.gradient(loss, rows).numpy()
    layer = next(layer for layer in network.layers if layer.name == name)
    assert np.all(gradient[:, layer.row_length + 1 :] == 0)  # padding is no weight
    step = 1e-2 * gradient / np.linalg.norm(gradient)
    losses = [
        float(tf.reduce_sum(tf.square(network.trained(network.frozen(x, start), start, {name: rows + sign * step}))))
        for sign in (1, -1)
    ]
    assert (losses[0] - losses[1]) / 2 == pytest.approx(float(np.sum(gradient * step)), rel=2e-2)
