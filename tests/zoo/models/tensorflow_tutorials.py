# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow's own tutorials and TensorFlow Lite Micro's examples build, as it stands there."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, models

from zoo.registry import Family

FAMILY = Family("TensorFlow tutorials")


@FAMILY.model("TFLM example: hello_world (sine)", "regression", low=0, high=6.28, cut="dense_2")
def hello_world_sine() -> keras.Model:
    model = keras.Sequential()
    model.add(keras.Input((1,)))
    model.add(layers.Dense(16, activation="relu", name="dense_1"))
    model.add(layers.Dense(16, activation="relu", name="dense_2"))
    model.add(layers.Dense(1))
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


@FAMILY.model("TFLM example: micro_speech (tiny_conv)", "logits", low=0, high=26, devices=True)
def micro_speech_tiny_conv() -> keras.Model:
    fingerprint = keras.Input((49 * 40,))
    x = layers.Reshape((49, 40, 1))(fingerprint)
    x = layers.Conv2D(8, (10, 8), strides=(2, 2), padding="same", activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Flatten()(x)
    return keras.Model(fingerprint, layers.Dense(4)(x))


@FAMILY.model("TensorFlow speech_commands: low_latency_conv", "logits", low=0, high=26)
def speech_commands_low_latency_conv() -> keras.Model:
    fingerprint = keras.Input((24, 20))
    x = layers.Reshape((24, 20, 1))(fingerprint)
    x = layers.Conv2D(16, (24, 8), activation=tf.nn.relu)(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(layers.Dense(16)(x))
    x = layers.Dropout(0.5)(layers.Dense(16)(x))
    return keras.Model(fingerprint, layers.Dense(12)(x))


@FAMILY.model("TFLM example: magic_wand (CNN)", low=-4, high=4, devices=True)
def magic_wand_cnn() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((128, 3, 1)),
            layers.Conv2D(8, (4, 3), padding="same", activation="relu"),
            layers.MaxPool2D((3, 3)),
            layers.Dropout(0.1),
            layers.Conv2D(16, (4, 1), padding="same", activation="relu"),
            layers.MaxPool2D((3, 1), padding="same"),
            layers.Dropout(0.1),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(4, activation="softmax"),
        ]
    )


@FAMILY.model("TFLM example: magic_wand (LSTM)", "sigmoid", low=-4, high=4)
def magic_wand_lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((10, 3)),
            layers.Bidirectional(layers.LSTM(8)),
            layers.Dense(4, activation="sigmoid"),
        ]
    )


@FAMILY.model("TFLM example: person_detection (MobileNetV1 0.25, grey)", "logits")
def person_detection() -> keras.Model:
    inputs = keras.Input((48, 48, 1))
    x = inputs
    filters = 8
    x = layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
    x = layers.BatchNormalization(epsilon=1e-3)(x)
    x = layers.ReLU(6.0)(x)
    for strides, widen in ((1, 2), (2, 2), (1, 1), (2, 2), (1, 1), (2, 1)):
        x = layers.DepthwiseConv2D(3, strides, "same", use_bias=False)(x)
        x = layers.BatchNormalization(epsilon=1e-3)(x)
        x = layers.ReLU(6.0)(x)
        filters *= widen
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.BatchNormalization(epsilon=1e-3)(x)
        x = layers.ReLU(6.0)(x)
    x = layers.AveragePooling2D(x.shape[1:3], 2)(x)
    x = layers.Conv2D(2, 1)(x)
    return keras.Model(inputs, layers.Reshape((2,))(x))


@FAMILY.model("TensorFlow tutorial: simple audio recognition", "logits", low=0, high=4, devices=True)
def simple_audio() -> keras.Model:
    norm_layer = layers.Normalization()
    norm_layer.adapt(data=np.random.default_rng(0).gamma(1.0, 1.0, (32, 124, 129, 1)).astype(np.float32))
    model = models.Sequential(
        [
            layers.Input(shape=(124, 129, 1)),
            # Downsample the input.
            layers.Resizing(32, 32),
            # Normalize.
            norm_layer,
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(8),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


@FAMILY.model("TensorFlow tutorial: image classification (flowers)", "logits", low=0, high=255)
def flowers() -> keras.Model:
    data_augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(36, 36, 3)),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
        ]
    )
    model = models.Sequential(
        [
            data_augmentation,
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(5, name="outputs"),
        ]
    )
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return model


@FAMILY.model("TensorFlow tutorial: data augmentation (resize and rescale inside)", "logits", low=0, high=255)
def data_augmentation_tutorial() -> keras.Model:
    resize_and_rescale = keras.Sequential([layers.Resizing(20, 20), layers.Rescaling(1.0 / 255)])
    augmentation = keras.Sequential([layers.RandomFlip("horizontal_and_vertical"), layers.RandomRotation(0.2)])
    return keras.Sequential(
        [
            layers.Input((32, 28, 3), dtype="uint8"),
            resize_and_rescale,
            augmentation,
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(5),
        ]
    )


@FAMILY.model(
    "TensorFlow tutorial: transfer learning and fine-tuning", "sigmoid", low=0, high=255, cut="global_average_pooling"
)
def transfer_learning() -> keras.Model:
    data_augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    preprocess_input = keras.applications.mobilenet_v2.preprocess_input
    base_model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.1, include_top=False, weights=None)
    base_model.trainable = False
    global_average_layer = layers.GlobalAveragePooling2D(name="global_average_pooling")
    prediction_layer = layers.Dense(1, activation="sigmoid")

    inputs = keras.Input(shape=(32, 32, 3))
    x = data_augmentation(inputs)
    x = preprocess_input(x)
    x = base_model(x, training=False)
    x = global_average_layer(x)
    x = layers.Dropout(0.2)(x)
    outputs = prediction_layer(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss=keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
    return model


@FAMILY.model("Keras guide: transfer learning (Rescaling in front)", "logits", low=0, high=255)
def transfer_learning_guide() -> keras.Model:
    base_model = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    base_model.trainable = False
    inputs = keras.Input(shape=(32, 32, 3))
    scale_layer = layers.Rescaling(scale=1 / 127.5, offset=-1)
    x = scale_layer(inputs)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@FAMILY.model("TensorFlow Hub tutorial: feature vector and a new head", low=0, high=255)
def transfer_learning_uint8() -> keras.Model:
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.ops.cast(inputs, "float32")
    x = x / 127.5 - 1.0
    x = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None, pooling="avg")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


@FAMILY.model("TensorFlow tutorial: quickstart for beginners", "logits", low=0, high=1)
def mnist_beginner() -> keras.Model:
    return models.Sequential(
        [
            layers.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


@FAMILY.model("TensorFlow tutorial: convolutional neural network (CIFAR)", "logits", low=0, high=1, devices=True)
def cifar_cnn() -> keras.Model:
    model = models.Sequential()
    model.add(layers.Input((32, 32, 3)))
    model.add(layers.Conv2D(8, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(16, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(16, (3, 3), activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(10))
    return model


@FAMILY.model(
    "Keras example: image classification from scratch", "sigmoid", low=0, high=255, cut="global_average_pooling"
)
def image_classification_from_scratch() -> keras.Model:
    inputs = keras.Input(shape=(32, 32, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for size in (12, 16):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    x = layers.SeparableConv2D(24, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D(name="global_average_pooling")(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


@FAMILY.model("TensorFlow tutorial: time series forecasting (convolution)", "regression", low=-2, high=2, cut="conv")
def forecasting_conv() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((24, 19)),
            layers.Conv1D(filters=16, kernel_size=(3,), activation="relu", name="conv"),
            layers.Dense(units=16, activation="relu"),
            layers.Dense(units=1),
        ]
    )


@FAMILY.model("TensorFlow tutorial: time series forecasting (LSTM, many steps)", "regression", low=-2, high=2)
def forecasting_lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((12, 7)),
            layers.LSTM(8, return_sequences=False),
            layers.Dense(6 * 7, kernel_initializer=keras.initializers.zeros()),
            layers.Reshape([6, 7]),
        ]
    )


@FAMILY.model("Keras example: bidirectional LSTM on text", "sigmoid", low=0, high=49, cut="bidirectional_2")
def text_bidirectional_lstm() -> keras.Model:
    inputs = keras.Input(shape=(8,), dtype="int32")
    x = layers.Embedding(50, 8)(inputs)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="bidirectional_1")(x)
    x = layers.Bidirectional(layers.LSTM(6), name="bidirectional_2")(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


@FAMILY.model("TensorFlow tutorial: basic text classification", "sigmoid", low=0, high=49, cut="pooling")
def text_embedding_average() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((12,), dtype="int32"),
            layers.Embedding(50, 16),
            layers.Dropout(0.2),
            layers.GlobalAveragePooling1D(name="pooling"),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
