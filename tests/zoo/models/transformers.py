# SPDX-License-Identifier: Apache-2.0
"""Attention, mixers and low-rank adapters."""

import keras
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Transformers and mixers")


def _encoder(x, heads: int, width: int, hidden: int, activation="gelu"):
    """A pre-norm block."""
    y = kl.LayerNormalization(epsilon=1e-6)(x)
    y = kl.MultiHeadAttention(num_heads=heads, key_dim=width // heads, dropout=0.1)(y, y)
    x = kl.Add()([x, y])
    y = kl.LayerNormalization(epsilon=1e-6)(x)
    y = kl.Dropout(0.1)(kl.Dense(hidden, activation=activation)(y))
    y = kl.Dropout(0.1)(kl.Dense(width)(y))
    return kl.Add()([x, y])


@FAMILY.model("ViT (Keras example: patches, learned positions)", "logits", low=0, high=255, devices=True)
def vit() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = kl.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = kl.Conv2D(12, 4, strides=4)(x)
    x = kl.Reshape((16, 12))(x)
    positions = kl.Embedding(16, 12)(ops.arange(16))
    x = x + positions
    for _ in range(2):
        x = _encoder(x, 2, 12, 24)
    x = kl.LayerNormalization(epsilon=1e-6)(x)
    x = kl.Flatten()(x)
    x = kl.Dropout(0.5)(x)
    x = kl.Dense(24, activation=keras.activations.gelu)(x)
    return keras.Model(inputs, kl.Dense(10)(x))


@FAMILY.model("ViT (patches by reshapes, average pooled)")
def vit_reshaped_patches() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = ops.reshape(inputs, (-1, 4, 4, 4, 4, 3))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    x = ops.reshape(x, (-1, 16, 48))
    x = kl.Dense(12)(x)
    x = _encoder(x, 3, 12, 24, activation=ops.gelu)
    x = kl.GlobalAveragePooling1D()(kl.LayerNormalization()(x))
    return keras.Model(inputs, kl.Dense(10, activation="softmax")(x))


@FAMILY.model("MLP-Mixer", devices=True)
def mlp_mixer() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = kl.Conv2D(12, 4, strides=4)(inputs)
    x = kl.Reshape((16, 12))(x)
    for _ in range(2):
        y = kl.Permute((2, 1))(kl.LayerNormalization()(x))
        y = kl.Dense(16)(kl.Dense(12, activation="gelu")(y))
        x = kl.Add()([x, kl.Permute((2, 1))(y)])
        y = kl.LayerNormalization()(x)
        y = kl.Dense(12)(kl.Dense(24, activation="gelu")(y))
        x = kl.Add()([x, y])
    x = kl.GlobalAveragePooling1D()(kl.LayerNormalization()(x))
    return keras.Model(inputs, kl.Dense(10, activation="softmax")(x))


@FAMILY.model("Keyword transformer (Berg et al.: tokens of frames, post-norm)")
def keyword_transformer() -> keras.Model:
    inputs = keras.Input((20, 10))
    x = kl.Dense(12)(inputs)
    x = ops.pad(x, [[0, 0], [1, 0], [0, 0]])  # the class token's place
    x = x + kl.Embedding(21, 12)(ops.arange(21))
    for _ in range(2):
        y = kl.MultiHeadAttention(2, 6)(x, x)
        x = kl.LayerNormalization()(x + y)
        y = kl.Dense(12)(kl.Dense(24, activation="gelu")(x))
        x = kl.LayerNormalization()(x + y)
    return keras.Model(inputs, kl.Dense(12, activation="softmax")(x[:, 0]))


@FAMILY.model("Keras example: time series transformer")
def time_series_transformer() -> keras.Model:
    inputs = keras.Input((24, 2))
    x = inputs
    for _ in range(2):
        y = kl.MultiHeadAttention(key_dim=4, num_heads=2, dropout=0.25)(x, x)
        y = kl.Dropout(0.25)(y)
        y = kl.LayerNormalization(epsilon=1e-6)(y)
        res = y + x
        y = kl.Conv1D(filters=4, kernel_size=1, activation="relu")(res)
        y = kl.Dropout(0.25)(y)
        y = kl.Conv1D(filters=2, kernel_size=1)(y)
        y = kl.LayerNormalization(epsilon=1e-6)(y)
        x = y + res
    x = kl.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = kl.Dropout(0.4)(kl.Dense(16, activation="relu")(x))
    return keras.Model(inputs, kl.Dense(3, activation="softmax")(x))


@FAMILY.model("Attention by hand (keras.ops)")
def attention_by_operations() -> keras.Model:
    inputs = keras.Input((12, 8))
    query, key, value = (kl.Dense(8, use_bias=False)(inputs) for _ in range(3))
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / ops.sqrt(8.0)
    x = ops.matmul(ops.softmax(scores, axis=-1), value)
    x = ops.mean(inputs + x, axis=1)
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(x))


@FAMILY.model("LoRA on Dense (low-rank branch beside a frozen layer)")
def lora_dense() -> keras.Model:
    inputs = keras.Input((24,))
    x = inputs
    for units in (24, 16):
        frozen = kl.Dense(units, trainable=False)(x)
        low = kl.Dense(units, use_bias=False)(kl.Dense(2, use_bias=False)(x))
        x = ops.relu(frozen + 0.5 * low)
    return keras.Model(inputs, kl.Dense(6, activation="softmax")(x))


@FAMILY.model("LoRA by Keras (enable_lora)")
def lora_keras() -> keras.Model:
    inputs = keras.Input((24,))
    hidden = kl.Dense(16, activation="relu")
    x = hidden(inputs)
    outputs = kl.Dense(6, activation="softmax")(x)
    hidden.enable_lora(2)
    return keras.Model(inputs, outputs)


@FAMILY.model("ConvMixer", devices=True)
def conv_mixer() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = kl.Conv2D(8, 2, strides=2, activation="gelu")(inputs)
    x = kl.BatchNormalization()(x)
    for _ in range(2):
        y = kl.DepthwiseConv2D(5, padding="same", activation="gelu")(x)
        x = kl.Add()([kl.BatchNormalization()(y), x])
        x = kl.Conv2D(8, 1, activation="gelu")(x)
        x = kl.BatchNormalization()(x)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(10, activation="softmax")(x))


@FAMILY.model("MobileViT (attention between patches)")
def mobile_vit() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="swish")(inputs)
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="swish")(x)
    local = kl.Conv2D(8, 3, padding="same", activation="swish")(x)
    local = kl.Conv2D(12, 1, activation="swish")(local)
    patches = kl.Reshape((4, 16, 12))(local)
    y = kl.LayerNormalization()(patches)
    y = kl.MultiHeadAttention(num_heads=2, key_dim=6)(y, y)
    patches = kl.Add()([patches, y])
    y = kl.Dense(12)(kl.Dense(24, activation="swish")(kl.LayerNormalization()(patches)))
    patches = kl.Add()([patches, y])
    y = kl.Reshape((8, 8, 12))(patches)
    y = kl.Conv2D(8, 1, activation="swish")(y)
    y = kl.Conv2D(8, 3, padding="same", activation="swish")(kl.Concatenate()([x, y]))
    y = kl.GlobalAveragePooling2D()(y)
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(y))
