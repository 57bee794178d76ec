# SPDX-License-Identifier: Apache-2.0
"""Models written with operators, keras.ops and callables, as people write them who know NumPy."""

import keras
import tensorflow as tf
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Operators")


@FAMILY.model("Residual net with `+`, `*` and ops.relu", devices=True)
def operator_resnet() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = ops.relu(kl.BatchNormalization()(kl.Conv2D(8, 3, padding="same")(inputs)))
    for _ in range(2):
        y = ops.relu(kl.Conv2D(8, 3, padding="same")(x))
        x = ops.relu(x + 0.5 * kl.Conv2D(8, 3, padding="same")(y))
    x = ops.mean(x, axis=[1, 2])
    return keras.Model(inputs, ops.softmax(kl.Dense(5)(x)))


@FAMILY.model("tf.nn callables as activations", "logits")
def tf_nn_activations() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((16, 16, 3)),
            kl.Conv2D(8, 3, activation=tf.nn.relu),
            kl.Conv2D(8, 3, activation=tf.nn.relu6),
            kl.Conv2D(8, 3, activation=tf.nn.swish),
            kl.Flatten(),
            kl.Dense(12, activation=tf.nn.tanh),
            kl.Dense(4),
        ]
    )


@FAMILY.model("Layer objects as activations")
def layer_activations() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((16, 16, 3)),
            kl.Conv2D(8, 3, activation=kl.LeakyReLU(negative_slope=0.2)),
            kl.Conv2D(8, 3, activation=kl.ReLU(max_value=6)),
            kl.Conv2D(8, 3, activation=ops.relu),
            kl.GlobalMaxPooling2D(),
            kl.Dense(4, activation=tf.nn.softmax),
        ]
    )


@FAMILY.model("Pixels scaled by operators", low=0, high=255)
def operator_preprocessing() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = (inputs - 127.5) / 127.5
    x = kl.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = ops.max(x, axis=(1, 2))
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Pixels normalised for each channel (mean and deviation)", low=0, high=255)
def imagenet_preprocessing() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = kl.Normalization(mean=[123.7, 116.8, 103.9], variance=[3418.8, 3267.4, 3290.2])(inputs)
    x = kl.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Last step of a sequence, x[:, -1, :]")
def last_step() -> keras.Model:
    inputs = keras.Input((16, 4))
    x = kl.Conv1D(8, 3, padding="causal", activation="relu")(inputs)
    x = kl.Dense(8, activation="relu")(x[:, -1, :])
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(x))


@FAMILY.model("Gated MLP (split and sigmoid)")
def gated_mlp() -> keras.Model:
    inputs = keras.Input((16,))
    value, gate = ops.split(kl.Dense(24)(inputs), 2, axis=-1)
    x = value * ops.sigmoid(gate)
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(x))


@FAMILY.model("Reflected and zero padding by operations")
def operator_padding() -> keras.Model:
    inputs = keras.Input((14, 14, 2))
    x = ops.pad(inputs, [[0, 0], [1, 2], [2, 1], [0, 0]])
    x = kl.Conv2D(6, 3, strides=2, activation="relu")(x)
    x = kl.Cropping2D(((1, 0), (0, 1)))(x)
    x = ops.reshape(x, (-1, x.shape[1] * x.shape[2] * 6))
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(x))


@FAMILY.model("Spectral energies (square, sum, log)", low=-1, high=1)
def spectral_energies() -> keras.Model:
    inputs = keras.Input((32, 6))
    energy = ops.log(ops.sum(ops.square(inputs), axis=1) + 1e-3)
    spread = ops.max(inputs, axis=1) - ops.min(inputs, axis=1)
    x = kl.Dense(12, activation="relu")(ops.concatenate([energy, spread], axis=-1))
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Statistics pooling (mean and deviation, x-vector)")
def statistics_pooling() -> keras.Model:
    inputs = keras.Input((24, 8))
    x = kl.Conv1D(12, 5, dilation_rate=2, activation="relu")(inputs)
    mean = ops.mean(x, axis=1, keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(x - mean), axis=1) + 1e-5)
    x = ops.concatenate([ops.squeeze(mean, 1), deviation], axis=-1)
    x = kl.Dense(10, activation="relu")(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Minimum, maximum and where")
def clipped_by_operations() -> keras.Model:
    inputs = keras.Input((20,))
    x = kl.Dense(16)(inputs)
    x = ops.where(x > 0.0, x, 0.1 * x)
    x = ops.minimum(x, 2.0)
    x = ops.maximum(x, ops.tanh(kl.Dense(16)(inputs)))
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Nested models, the same names inside")
def nested_models() -> keras.Model:
    def part(filters: int, name: str) -> keras.Model:
        inputs = keras.Input((12, 12, filters))
        x = kl.Conv2D(filters, 3, padding="same", activation="relu", name="conv")(inputs)
        return keras.Model(inputs, kl.Add()([x, inputs]), name=name)

    inputs = keras.Input((12, 12, 4))
    x = part(4, "first")(inputs)
    x = part(4, "second")(x)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(x))
