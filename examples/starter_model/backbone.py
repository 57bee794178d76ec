# SPDX-License-Identifier: Apache-2.0
"""The starter model before training: a MobileNetV2-like network for grey images of 32x32."""

from __future__ import annotations

import keras
from keras import layers

SIDE = 32
# Channels after expansion, channels out, stride.
BLOCKS = ((48, 24, 2), (72, 24, 1), (96, 40, 2), (120, 40, 1), (120, 40, 1), (160, 64, 1))


def build_backbone(seed: int) -> keras.Model:
    """Returns image (32, 32, 1) from -1 to 1 in, embedding (64,) out; the same seed gives the same weights."""
    keras.utils.set_random_seed(seed)
    image = layers.Input((SIDE, SIDE, 1), name="image")
    x = layers.Conv2D(16, 3, 2, "same", use_bias=False, name="stem_conv")(image)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for index, (wide, out, stride) in enumerate(BLOCKS, start=1):
        x = _inverted_residual(x, f"block_{index}", wide, out, stride)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(image, embedding, name="starter")


def _inverted_residual(x: keras.KerasTensor, name: str, wide: int, out: int, stride: int) -> keras.KerasTensor:
    skip = x
    x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand")(x)
    x = layers.BatchNormalization(name=f"{name}_expand_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(out, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_norm")(x)
    if stride == 1 and skip.shape[-1] == out:
        x = layers.Add(name=f"{name}_add")([skip, x])
    return x
