# SPDX-License-Identifier: Apache-2.0
"""The four reference models of MLPerf Tiny, as mlcommons/tiny builds them."""

import keras
from keras import layers as kl
from keras import regularizers

from zoo.registry import Family

FAMILY = Family("MLPerf Tiny")


@FAMILY.model("MLPerf Tiny: image classification, ResNet-8", low=0, high=255, devices=True)
def mlperf_resnet8() -> keras.Model:
    options = {"padding": "same", "kernel_initializer": "he_normal", "kernel_regularizer": regularizers.l2(1e-4)}
    inputs = keras.Input((16, 16, 3))
    x = kl.Conv2D(8, 3, strides=1, **options)(inputs)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("relu")(x)
    for filters, strides in ((8, 1), (16, 2), (32, 2)):
        y = kl.Conv2D(filters, 3, strides=strides, **options)(x)
        y = kl.BatchNormalization()(y)
        y = kl.Activation("relu")(y)
        y = kl.Conv2D(filters, 3, strides=1, **options)(y)
        y = kl.BatchNormalization()(y)
        if strides > 1:
            x = kl.Conv2D(filters, 1, strides=strides, **options)(x)
        x = kl.add([x, y])
        x = kl.Activation("relu")(x)
    x = kl.AveragePooling2D(pool_size=x.shape[1:3])(x)
    x = kl.Flatten()(x)
    outputs = kl.Dense(10, activation="softmax", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, outputs)


@FAMILY.model("MLPerf Tiny: visual wake words, MobileNetV1 0.25", devices=True)
def mlperf_visual_wake_words() -> keras.Model:
    options = {"use_bias": True, "kernel_initializer": "he_normal", "kernel_regularizer": regularizers.l2(1e-4)}
    depthwise = {"depthwise_initializer": "he_normal", "depthwise_regularizer": regularizers.l2(1e-4)}
    filters = 8
    inputs = keras.Input((48, 48, 3))
    x = kl.Conv2D(filters, 3, strides=2, padding="same", **options)(inputs)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("relu")(x)
    for strides, widen in ((1, 2), (2, 2), (1, 1), (2, 2), (2, 1)):
        x = kl.DepthwiseConv2D(3, strides=strides, padding="same", **depthwise)(x)
        x = kl.BatchNormalization()(x)
        x = kl.Activation("relu")(x)
        filters *= widen
        x = kl.Conv2D(filters, 1, strides=1, padding="same", **options)(x)
        x = kl.BatchNormalization()(x)
        x = kl.Activation("relu")(x)
    x = kl.AveragePooling2D(pool_size=x.shape[1:3])(x)
    x = kl.Flatten()(x)
    outputs = kl.Dense(2, activation="softmax", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, outputs)


@FAMILY.model("MLPerf Tiny: keyword spotting, DS-CNN", devices=True)
def mlperf_ds_cnn() -> keras.Model:
    regularizer = regularizers.l2(1e-4)
    filters = 16
    inputs = keras.Input((49, 10, 1))
    x = kl.Conv2D(filters, (10, 4), strides=(2, 2), padding="same", kernel_regularizer=regularizer)(inputs)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("relu")(x)
    x = kl.Dropout(rate=0.2)(x)
    for _ in range(4):
        x = kl.DepthwiseConv2D(
            depth_multiplier=1, kernel_size=(3, 3), padding="same", depthwise_regularizer=regularizer
        )(x)
        x = kl.BatchNormalization()(x)
        x = kl.Activation("relu")(x)
        x = kl.Conv2D(filters, (1, 1), padding="same", kernel_regularizer=regularizer)(x)
        x = kl.BatchNormalization()(x)
        x = kl.Activation("relu")(x)
    x = kl.Dropout(rate=0.4)(x)
    x = kl.AveragePooling2D(pool_size=(25, 5))(x)
    x = kl.Flatten()(x)
    outputs = kl.Dense(12, activation="softmax")(x)
    return keras.Model(inputs, outputs)


@FAMILY.model("MLPerf Tiny: anomaly detection, deep autoencoder", "reconstruction", low=-3, high=3, devices=True)
def mlperf_deep_autoencoder() -> keras.Model:
    inputs = keras.Input((128,))
    x = inputs
    for units in (32, 32, 32, 32, 8, 32, 32, 32, 32):
        x = kl.Dense(units)(x)
        x = kl.BatchNormalization()(x)
        x = kl.Activation("relu")(x)
    return keras.Model(inputs, kl.Dense(128)(x))
