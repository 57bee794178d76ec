# SPDX-License-Identifier: Apache-2.0
"""Models of several inputs, and those whose parts share weights."""

import keras
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Several inputs and shared weights")


def _encoder() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((16, 16, 1)),
            kl.Conv2D(6, 3, activation="relu"),
            kl.MaxPooling2D(2),
            kl.Conv2D(8, 3, activation="relu"),
            kl.GlobalAveragePooling2D(),
            kl.Dense(12),
        ],
        name="encoder",
    )


@FAMILY.model("Siamese (one encoder, distance, sigmoid)", "sigmoid", cut="distance")
def siamese() -> keras.Model:
    left, right = keras.Input((16, 16, 1), name="left"), keras.Input((16, 16, 1), name="right")
    encoder = _encoder()
    distance = kl.Subtract()([encoder(left), encoder(right)])
    distance = kl.Activation(ops.abs, name="distance")(distance)
    return keras.Model([left, right], kl.Dense(1, activation="sigmoid")(distance))


@FAMILY.model("Siamese on one input (two halves of a picture, one encoder)")
def siamese_halves() -> keras.Model:
    inputs = keras.Input((16, 16, 2))
    encoder = _encoder()
    difference = ops.abs(encoder(inputs[..., :1]) - encoder(inputs[..., 1:]))
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(difference))


@FAMILY.model("Metric learning (triplet encoder, unit length)", "embedding")
def triplet_encoder() -> keras.Model:
    inputs = keras.Input((16, 16, 1))
    x = _encoder()(inputs)
    return keras.Model(inputs, x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6))


@FAMILY.model("Sensor fusion (picture and motion)")
def sensor_fusion() -> keras.Model:
    image, motion = keras.Input((16, 16, 3), name="image"), keras.Input((24, 6), name="motion")
    x = kl.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = kl.GlobalAveragePooling2D()(x)
    y = kl.Conv1D(8, 3, activation="relu")(motion)
    y = kl.GlobalMaxPooling1D()(y)
    z = kl.Dense(12, activation="relu")(kl.Concatenate()([x, y]))
    return keras.Model([image, motion], kl.Dense(4, activation="softmax")(z))


@FAMILY.model("Sensor fusion (one packed input, a branch for each sensor)", low=-3, high=3, devices=True)
def sensor_fusion_packed() -> keras.Model:
    inputs = keras.Input((24, 9))
    branches = []
    for first in (0, 3, 6):
        x = inputs[:, :, first : first + 3]
        x = kl.Conv1D(6, 5, activation="relu")(x)
        branches.append(kl.GlobalAveragePooling1D()(x))
    x = kl.Concatenate()(branches)
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(x))


@FAMILY.model("Multi-task (two heads)", "logits", head="activity")
def multi_task() -> keras.Model:
    inputs = keras.Input((24, 6))
    x = kl.Conv1D(8, 3, activation="relu")(inputs)
    x = kl.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, [kl.Dense(4, name="activity")(x), kl.Dense(3, name="person")(x)])


@FAMILY.model("Weight-tied recurrence (one convolution applied three times)")
def tied_convolution() -> keras.Model:
    inputs = keras.Input((12, 12, 4))
    block = kl.Conv2D(4, 3, padding="same")
    activation = kl.ReLU()
    x = inputs
    for _ in range(3):
        x = kl.Add()([x, activation(block(x))])
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("Wide and deep")
def wide_and_deep() -> keras.Model:
    inputs = keras.Input((20,))
    deep = kl.Dense(12, activation="relu")(kl.Dense(16, activation="relu")(inputs))
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(kl.Concatenate()([inputs, deep])))
