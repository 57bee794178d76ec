# SPDX-License-Identifier: Apache-2.0
"""Two small nets, smooth but for a ReLU6, for the tests that take many steps."""

import keras
import numpy as np

from .net_weights import randomise_weights

kl = keras.layers

INPUT_SHAPE = (6, 5, 2)
CLASSES = 3
EMBEDDING_ELEMENTS = 5
# Whole layers and single channels, with and without biases.
CLASSIFIER_PLAN = {"conv": [0, 2], "depthwise": {"channels": [1, 4, 5], "bias": False}, "logits": "all"}
EMBEDDING_PLAN = {"conv": "all", "depthwise": [3], "embedding": {"channels": [0, 1, 4], "bias": True}}


def small_classifier(ending: str = "logits") -> keras.Model:
    """A classifier of three classes that ends in "logits", in an inline "softmax" or in a softmax "layer"."""
    trunk = _trunk()
    scores = kl.Dense(CLASSES, activation="softmax" if ending == "softmax" else None, name="logits")(trunk.outputs[0])
    if ending == "layer":
        scores = kl.Softmax(name="softmax")(scores)
    return _with_weights(keras.Model(trunk.inputs[0], scores))


def small_embedding() -> keras.Model:
    """A net that ends in an embedding of five elements, without activation."""
    trunk = _trunk()
    return _with_weights(keras.Model(trunk.inputs[0], kl.Dense(EMBEDDING_ELEMENTS, name="embedding")(trunk.outputs[0])))


def small_inputs(count: int, seed: int = 2) -> np.ndarray:
    """float32 (count, 6, 5, 2), normally distributed."""
    return np.random.default_rng(seed).standard_normal((count, *INPUT_SHAPE)).astype(np.float32)


def _trunk() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(INPUT_SHAPE),
            kl.Conv2D(4, 3, padding="same", use_bias=False, name="conv"),
            kl.BatchNormalization(name="norm"),
            kl.Activation("tanh", name="tanh"),
            kl.DepthwiseConv2D(2, depth_multiplier=2, activation="relu6", name="depthwise"),
            kl.AveragePooling2D(2, name="pool"),
            kl.Flatten(name="flatten"),
        ]
    )


def _with_weights(model: keras.Model) -> keras.Model:
    randomise_weights(model, np.random.default_rng(1))
    return model
