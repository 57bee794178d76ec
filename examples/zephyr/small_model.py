# SPDX-License-Identifier: Apache-2.0
"""The model of this example: an embedding of small grey images, with weights that are the same on every machine."""

from __future__ import annotations

import keras
import numpy as np

import tt_tflm

INPUT_SHAPE = (16, 16, 1)
CLASSES = 3
_SEED = 20240717


def small_model() -> keras.Model:
    """An embedding of 24 elements, 1,424 parameters, He-initialised by NumPy."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(INPUT_SHAPE, name="image"),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise"),
            layers.Conv2D(24, 1, activation="relu", name="expand"),
            layers.DepthwiseConv2D(3, strides=2, activation="relu", name="reduce"),
            layers.Conv2D(24, 1, name="project"),
            layers.GlobalAveragePooling2D(name="embedding"),
        ],
        name="small",
    )
    generator = np.random.default_rng(_SEED)
    model.set_weights([_weight(generator, array.shape) for array in model.get_weights()])
    return model


def small_build() -> tt_tflm.Build:
    """A build that chooses on the board what it trains."""
    converter = tt_tflm.TrainableConverter.from_keras_model(small_model())
    converter.target = "cortex-m4"
    converter.loss = tt_tflm.PrototypeLoss(classes=CLASSES)
    converter.optimizer = tt_tflm.Adam(learning_rate=0.003)
    converter.mode = "dynamic"
    converter.budget = tt_tflm.Budget(ram="48KB", training_memory="24KB")
    return converter.convert()


def _weight(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1:
        return np.zeros(shape, dtype=np.float32)
    inputs = np.prod(shape[:-1]) if shape[-1] != 1 else np.prod(shape[:2])
    return (generator.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
