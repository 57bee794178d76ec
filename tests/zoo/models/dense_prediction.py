# SPDX-License-Identifier: Apache-2.0
"""Models whose output is as large as a picture or a sequence: segmentation, detection, reconstruction, poses.

There is no objective of the package for these yet: what they give, flat, is trained as an embedding.
"""

import keras
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Dense prediction")


def _twice(x, filters: int):
    for _ in range(2):
        x = kl.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


@FAMILY.model("U-Net (Conv2DTranspose)", "grid", low=0, high=1, cut="logits", devices=True)
def unet_transposed() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x, skips = inputs, []
    for filters in (6, 8):
        x = _twice(x, filters)
        skips.append(x)
        x = kl.Dropout(0.1)(kl.MaxPooling2D(2)(x))
    x = _twice(x, 12)
    for filters in (8, 6):
        x = kl.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = kl.Concatenate()([x, skips.pop()])
        x = _twice(x, filters)
    logits = kl.Conv2D(2, 1, name="logits")(x)
    return keras.Model(inputs, kl.Softmax()(logits))


@FAMILY.model("U-Net (UpSampling2D)", "grid", low=0, high=1, cut="features")
def unet_upsampling() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x, skips = inputs, []
    for filters in (6, 8):
        x = _twice(x, filters)
        skips.append(x)
        x = kl.MaxPooling2D(2)(x)
    x = _twice(x, 12)
    for filters, interpolation in ((8, "nearest"), (6, "bilinear")):
        x = kl.UpSampling2D(2, interpolation=interpolation)(x)
        x = kl.Conv2D(filters, 2, padding="same", activation="relu")(x)
        x = kl.Concatenate()([skips.pop(), x])
        x = _twice(x, filters)
    x = kl.Conv2D(2, 3, padding="same", name="features")(x)
    return keras.Model(inputs, kl.Conv2D(1, 1, activation="sigmoid")(x))


@FAMILY.model("TensorFlow tutorial: segmentation (MobileNetV2 and pix2pix upsampling)", "grid")
def segmentation_tutorial() -> keras.Model:
    base = keras.applications.MobileNetV2((32, 32, 3), alpha=0.1, include_top=False, weights=None)
    names = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu")
    down_stack = keras.Model(base.input, [base.get_layer(name).output for name in names])
    down_stack.trainable = False
    inputs = keras.Input((32, 32, 3))
    *skips, x = down_stack(inputs)
    for filters, skip in zip((12, 8), reversed(skips), strict=True):
        x = kl.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = kl.ReLU()(kl.BatchNormalization()(x))
        x = kl.Concatenate()([x, skip])
    return keras.Model(inputs, kl.Conv2DTranspose(3, 3, strides=2, padding="same")(x))


@FAMILY.model("Keras blog: convolutional autoencoder", "reconstruction", low=0, high=1)
def convolutional_autoencoder() -> keras.Model:
    inputs = keras.Input((28, 28, 1))
    x = kl.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = kl.MaxPooling2D(2, padding="same")(x)
    x = kl.Conv2D(4, 3, activation="relu", padding="same")(x)
    x = kl.MaxPooling2D(2, padding="same")(x)
    x = kl.Conv2D(4, 3, activation="relu", padding="same")(x)
    x = kl.UpSampling2D(2)(x)
    x = kl.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = kl.UpSampling2D(2)(x)
    return keras.Model(inputs, kl.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


@FAMILY.model("TensorFlow tutorial: denoising autoencoder", "reconstruction", low=0, high=1)
def denoising_autoencoder() -> keras.Model:
    inputs = kl.Input((28, 28, 1))
    x = kl.GaussianNoise(0.2)(inputs)
    x = kl.Conv2D(8, (3, 3), activation="relu", padding="same", strides=2)(x)
    x = kl.Conv2D(4, (3, 3), activation="relu", padding="same", strides=2)(x)
    x = kl.Conv2DTranspose(4, kernel_size=3, strides=2, activation="relu", padding="same")(x)
    x = kl.Conv2DTranspose(8, kernel_size=3, strides=2, activation="relu", padding="same")(x)
    return keras.Model(inputs, kl.Conv2D(1, kernel_size=(3, 3), activation="sigmoid", padding="same")(x))


@FAMILY.model("Keras example: time series anomaly detection (Conv1DTranspose)", "reconstruction", low=-2, high=2)
def conv1d_autoencoder() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((32, 1)),
            kl.Conv1D(8, 7, padding="same", strides=2, activation="relu"),
            kl.Dropout(0.2),
            kl.Conv1D(4, 7, padding="same", strides=2, activation="relu"),
            kl.Conv1DTranspose(4, 7, padding="same", strides=2, activation="relu"),
            kl.Dropout(0.2),
            kl.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu"),
            kl.Conv1DTranspose(1, 7, padding="same"),
        ]
    )


@FAMILY.model("LSTM autoencoder", "reconstruction", low=-2, high=2)
def lstm_autoencoder() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((12, 3)),
            kl.LSTM(8, activation="tanh"),
            kl.RepeatVector(12),
            kl.LSTM(8, activation="tanh", return_sequences=True),
            kl.TimeDistributed(kl.Dense(3)),
        ]
    )


@FAMILY.model("Pose heat maps (simple baselines)", "grid")
def pose_heat_map() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = kl.SeparableConv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = kl.SeparableConv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    for _ in range(2):
        x = kl.Conv2DTranspose(8, 4, strides=2, padding="same", use_bias=False)(x)
        x = kl.ReLU()(kl.BatchNormalization()(x))
    return keras.Model(inputs, kl.Conv2D(5, 1)(x))


@FAMILY.model("YOLO (tiny, one scale)", "grid", low=0, high=1)
def yolo_tiny() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in (6, 8, 12):
        x = kl.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = kl.LeakyReLU(negative_slope=0.1)(kl.BatchNormalization()(x))
        x = kl.MaxPooling2D(2)(x)
    x = kl.Conv2D(2 * (5 + 3), 1)(x)
    x = kl.Reshape((4, 4, 2, 8))(x)
    places, sizes, scores = x[..., :2], x[..., 2:4], x[..., 4:]
    return keras.Model(inputs, kl.Concatenate()([ops.sigmoid(places), ops.exp(sizes), ops.sigmoid(scores)]))


@FAMILY.model("YOLO (two scales, upsampled route)", "grid", low=0, high=1)
def yolo_two_scales() -> keras.Model:
    def block(x, filters: int, size: int = 3, strides: int = 1):
        x = kl.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return kl.Activation("swish")(kl.BatchNormalization()(x))

    inputs = keras.Input((32, 32, 3))
    x = block(inputs, 6, 3, 2)
    fine = block(x, 8, 3, 2)
    coarse = block(fine, 12, 3, 2)
    first = kl.Conv2D(8, 1)(coarse)
    y = kl.UpSampling2D(2)(block(coarse, 8, 1))
    second = kl.Conv2D(8, 1)(block(kl.Concatenate()([y, fine]), 8))
    return keras.Model(inputs, kl.Concatenate(axis=1)([kl.Reshape((-1, 8))(first), kl.Reshape((-1, 8))(second)]))


@FAMILY.model("SSD (MobileNet features, boxes and classes)", "grid")
def ssd() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(inputs)
    boxes, scores = [], []
    for filters in (12, 16):
        x = kl.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6")(x)
        x = kl.Conv2D(filters, 1, activation="relu6")(x)
        boxes.append(kl.Reshape((-1, 4))(kl.Conv2D(2 * 4, 3, padding="same")(x)))
        scores.append(kl.Reshape((-1, 3))(kl.Conv2D(2 * 3, 3, padding="same")(x)))
    boxes = kl.Concatenate(axis=1, name="boxes")(boxes)
    scores = kl.Activation("sigmoid")(kl.Concatenate(axis=1, name="scores")(scores))
    return keras.Model(inputs, kl.Concatenate(axis=-1)([boxes, scores]))


@FAMILY.model("SSD with two outputs", "grid", head="scores")
def ssd_two_outputs() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(inputs)
    x = kl.Conv2D(12, 3, strides=2, padding="same", activation="relu6")(x)
    boxes = kl.Reshape((-1, 4), name="boxes")(kl.Conv2D(8, 3, padding="same")(x))
    scores = kl.Reshape((-1, 3), name="scores")(kl.Conv2D(6, 3, padding="same")(x))
    return keras.Model(inputs, [boxes, scores])


@FAMILY.model("DeepLab (atrous spatial pyramid)", "grid")
def deeplab() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    pooled = kl.AveragePooling2D(x.shape[1:3])(x)
    pooled = kl.ReLU()(kl.BatchNormalization()(kl.Conv2D(4, 1)(pooled)))
    pooled = kl.UpSampling2D(x.shape[1:3], interpolation="bilinear")(pooled)
    branches = [pooled, kl.Conv2D(4, 1, activation="relu")(x)]
    for rate in (2, 3):
        y = kl.Conv2D(4, 3, dilation_rate=rate, padding="same", use_bias=False)(x)
        branches.append(kl.ReLU()(kl.BatchNormalization()(y)))
    x = kl.Conv2D(8, 1, activation="relu")(kl.Concatenate()(branches))
    x = kl.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(inputs, kl.Conv2D(2, 1)(x))


@FAMILY.model("Fast-SCNN (pyramid pooling, resizing)", "grid")
def fast_scnn() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    fine = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    fine = kl.SeparableConv2D(8, 3, strides=2, padding="same", activation="relu")(fine)
    x = kl.DepthwiseConv2D(3, strides=2, padding="same", activation="relu")(fine)
    x = kl.Conv2D(12, 1)(x)
    levels = [x]
    for size in (1, 2):
        y = kl.AveragePooling2D(4 // size)(x)
        y = kl.Conv2D(4, 1)(y)
        levels.append(ops.image.resize(y, (4, 4), interpolation="bilinear"))
    x = kl.Conv2D(8, 1)(kl.Concatenate()(levels))
    x = kl.UpSampling2D(2, interpolation="bilinear")(x)
    x = kl.DepthwiseConv2D(3, padding="same", dilation_rate=4, activation="relu")(x)
    x = kl.ReLU()(kl.Add()([kl.Conv2D(8, 1)(x), kl.Conv2D(8, 1)(fine)]))
    return keras.Model(inputs, kl.Conv2D(3, 1)(x))


@FAMILY.model("ESPCN (depth to space by reshapes)", "reconstruction", low=0, high=1)
def super_resolution() -> keras.Model:
    inputs = keras.Input((10, 10, 1))
    x = kl.Conv2D(8, 5, padding="same", activation="tanh")(inputs)
    x = kl.Conv2D(8, 3, padding="same", activation="tanh")(x)
    x = kl.Conv2D(4, 3, padding="same")(x)
    x = kl.Reshape((10, 10, 2, 2))(x)
    x = kl.Permute((1, 3, 2, 4))(x)
    return keras.Model(inputs, kl.Reshape((20, 20, 1))(x))
