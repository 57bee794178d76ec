# SPDX-License-Identifier: Apache-2.0
"""The builds that the tests of generated code share: every loss with every optimiser, and nets of every layer kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers as kl
from oracle.fixed_nets import CLASSIFIER_PLAN, EMBEDDING_PLAN, small_classifier, small_embedding
from oracle.net_weights import randomise_weights

import tt_tflm

LOSSES = {"softmax": tt_tflm.SoftmaxLoss(), "prototype": tt_tflm.PrototypeLoss(3)}
OPTIMIZERS: dict[str, Callable[..., object]] = {
    "sgd": tt_tflm.SGD,
    "momentum": tt_tflm.Momentum,
    "adam": tt_tflm.Adam,
}


@dataclass(frozen=True)
class Recipe:
    """How a build is made."""

    model: str
    loss: str = "softmax"
    optimizer: str = "sgd"
    batch_size: int = 1
    plan: dict[str, object] | None = field(default=None, hash=False)
    target: str = "cortex-m7"
    mode: str = "static"
    precision: str = "float32"


def _matrix() -> dict[str, Recipe]:
    plans = {"softmax": ("classifier", CLASSIFIER_PLAN), "prototype": ("embedding", EMBEDDING_PLAN)}
    recipes = {}
    for loss, (model, plan) in plans.items():
        for optimizer in OPTIMIZERS:
            for batch_size in (1, 3):
                # Both layouts of kernels, in turn.
                target = ("cortex-m7", "host")[len(recipes) % 2]
                recipes[f"{loss}_{optimizer}_{batch_size}"] = Recipe(model, loss, optimizer, batch_size, plan, target)
    trained = {"stem": [0, 2], "depthwise": "all", "logits": [1]}
    recipes["int8"] = Recipe("integer", plan=trained, target="host", precision="int8")
    recipes["int8_dynamic"] = Recipe("integer", "prototype", "adam", mode="dynamic", precision="int8")
    return recipes


MATRIX = _matrix()
NETS = {
    "sequence": Recipe("sequence", plan={"conv_1": [0, 2], "conv_2": "all"}, target="cortex-m4"),
    "everything": Recipe("everything", "softmax", "momentum", plan={"stem": "all", "expand": [1, 3], "logits": "all"}),
    "everything_host": Recipe(
        "everything", "prototype", plan={"depthwise": [0, 5], "separable/depthwise": "all"}, target="host"
    ),
    "gate": Recipe("gate", "prototype", "adam", plan={"squeeze": "all", "excite": [0, 1], "stem": [2]}),
    "dynamic": Recipe("embedding", "prototype", "adam", mode="dynamic"),
    "dynamic_softmax": Recipe("classifier", mode="dynamic", target="host"),
}
RECIPES = {**MATRIX, **NETS}


def build(name: str, symbol: str = "tt_model", weights: str = "auto") -> tt_tflm.Build:
    """The build of that recipe, called `symbol` in C, its weights in that form."""
    recipe = RECIPES[name]
    converter = _converter(recipe.model)
    converter.name, converter.weights = symbol, weights
    converter.target, converter.mode = recipe.target, recipe.mode
    converter.precision = recipe.precision
    if recipe.precision == "int8":
        samples = np.random.default_rng(4).uniform(-1, 1, (8, *converter.input_shape))
        converter.representative_data = samples.astype(np.float32)
    converter.loss = LOSSES[recipe.loss]
    converter.optimizer = OPTIMIZERS[recipe.optimizer](learning_rate=0.02, batch_size=recipe.batch_size)
    converter.plan = tt_tflm.UpdatePlan(layers=recipe.plan) if recipe.plan else None
    return converter.convert()


@functools.cache
def _converter(model: str) -> tt_tflm.TrainableConverter:
    converter = tt_tflm.TrainableConverter.from_keras_model(MODELS[model]())
    converter.input_scaling = (1 / 127.5, -1.0)  # one of the models rescales what it is given
    return converter


def _sequence() -> keras.Model:
    layers = [
        keras.Input((17, 3)),
        kl.Conv1D(4, 5, strides=2, padding="same", activation="relu", name="conv_1"),
        kl.MaxPooling1D(2, name="max"),
        kl.Conv1D(5, 3, padding="same", use_bias=False, name="conv_2"),
        kl.BatchNormalization(name="norm"),
        kl.LeakyReLU(negative_slope=0.2, name="leaky"),
        kl.AveragePooling1D(2, padding="same", name="average"),
        kl.GlobalAveragePooling1D(name="global"),
        kl.Dense(3, name="logits"),
    ]
    return _with_weights(keras.Sequential(layers, name="sequence"))


def _everything() -> keras.Model:
    """A residual net of every supported kind of layer on images."""
    image = keras.Input((11, 9, 3), name="image")
    x = kl.Rescaling(0.5, offset=-0.1, name="rescale")(image)
    x = kl.ZeroPadding2D(((1, 0), (0, 2)), name="pad")(x)
    x = kl.Conv2D(4, (3, 2), strides=(2, 1), use_bias=False, name="stem")(x)
    x = trunk = kl.ReLU(max_value=6.0, name="stem_relu6")(kl.BatchNormalization(name="stem_norm")(x))
    x = kl.Conv2D(6, 1, activation="relu", name="expand")(x)
    x = kl.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = kl.Activation("hard_silu", name="swish")(x)
    x = kl.Dropout(0.5, name="dropout")(kl.Conv2D(4, 1, name="project")(x))
    x = kl.Add(name="residual")([trunk, x])
    gate = kl.Conv2D(4, 1, activation="sigmoid", name="gate")(x)
    x = kl.Multiply(name="gated")([x, gate])
    x = kl.LeakyReLU(negative_slope=0.1, name="leaky")(kl.SeparableConv2D(5, 3, name="separable")(x))
    left = kl.MaxPooling2D(2, padding="same", name="max")(x)
    right = kl.AveragePooling2D((2, 2), padding="same", name="average")(kl.Activation("tanh", name="tanh")(x))
    x = kl.Concatenate(name="join")([left, right])
    means = kl.GlobalAveragePooling2D(name="global_average")(x)
    peaks = kl.GlobalMaxPooling2D(name="global_max")(x)
    inner = kl.Flatten(name="flatten")(kl.Reshape((5, 2), name="reshape")(means))
    x = kl.Concatenate(name="features")([inner, peaks])
    return _with_weights(keras.Model(image, kl.Dense(3, name="logits")(x), name="everything"))


def _gate() -> keras.Model:
    image = keras.Input((6, 6, 2), name="image")
    x = kl.Conv2D(4, 3, padding="same", activation="relu6", name="stem")(image)
    gate = kl.GlobalAveragePooling2D(name="mean")(x)
    gate = kl.Dense(2, activation="relu", name="squeeze")(gate)
    gate = kl.Reshape((1, 1, 4), name="shape")(kl.Dense(4, activation="sigmoid", name="excite")(gate))
    x = kl.Multiply(name="scale")([x, gate])
    return _with_weights(keras.Model(image, kl.Flatten(name="embedding")(x), name="gate"))


def _integer() -> keras.Model:
    """A net of every kind of layer that int8 has."""
    image = keras.Input((9, 7, 3), name="image")
    x = trunk = kl.Conv2D(6, 3, strides=2, padding="same", activation="relu6", name="stem")(image)
    x = kl.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = kl.ReLU(name="relu")(kl.Add(name="residual")([trunk, kl.Conv2D(6, 1, name="project")(x)]))
    x = kl.Concatenate(name="join")([kl.MaxPooling2D(2, name="max")(x), kl.AveragePooling2D(2, name="average")(x)])
    x = kl.GlobalAveragePooling2D(name="mean")(kl.ZeroPadding2D(1, name="pad")(x))
    return _with_weights(keras.Model(image, kl.Dense(3, name="logits")(x), name="integer"))


def _with_weights(model: keras.Model) -> keras.Model:
    randomise_weights(model, np.random.default_rng(3))
    return model


MODELS = {
    "classifier": lambda: small_classifier("softmax"),
    "embedding": small_embedding,
    "sequence": _sequence,
    "everything": _everything,
    "gate": _gate,
    "integer": _integer,
}
