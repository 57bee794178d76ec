# SPDX-License-Identifier: Apache-2.0
"""The networks that Edge Impulse's learning blocks generate."""

import keras
from keras.layers import (
    BatchNormalization,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPooling1D,
    MaxPooling2D,
    Reshape,
)

from zoo.registry import Family

FAMILY = Family("Edge Impulse")


@FAMILY.model("Edge Impulse: classification of motion (spectral features)", low=-3, high=3, devices=True)
def ei_gesture() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((39,)))
    model.add(Dense(20, activation="relu", activity_regularizer=keras.regularizers.l1(0.00001)))
    model.add(Dense(10, activation="relu", activity_regularizer=keras.regularizers.l1(0.00001)))
    model.add(Dense(4, name="y_pred", activation="softmax"))
    return model


@FAMILY.model("Edge Impulse: keyword spotting, Conv1D on MFCC", devices=True)
def ei_keyword_conv1d() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((49 * 13,)))
    model.add(Reshape((49, 13)))
    model.add(Conv1D(8, kernel_size=3, padding="same", activation="relu"))
    model.add(MaxPooling1D(pool_size=2, strides=2, padding="same"))
    model.add(Dropout(0.25))
    model.add(Conv1D(16, kernel_size=3, padding="same", activation="relu"))
    model.add(MaxPooling1D(pool_size=2, strides=2, padding="same"))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(3, name="y_pred", activation="softmax"))
    return model


@FAMILY.model("Edge Impulse: audio, Conv2D on MFE", low=0, high=1)
def ei_audio_conv2d() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((49 * 40,)))
    model.add(Reshape((49, 40, 1)))
    for filters in (8, 16):
        model.add(
            Conv2D(
                filters,
                kernel_size=3,
                kernel_constraint=keras.constraints.MaxNorm(1),
                padding="same",
                activation="relu",
            )
        )
        model.add(MaxPooling2D(pool_size=2, strides=2, padding="same"))
        model.add(Dropout(0.5))
    model.add(Flatten())
    model.add(Dense(3, name="y_pred", activation="softmax"))
    return model


@FAMILY.model("Edge Impulse: raw accelerometer, Conv1D", low=-20, high=20)
def ei_raw_conv1d() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((3 * 62,)))
    model.add(Reshape((62, 3)))
    model.add(Conv1D(8, kernel_size=5, strides=2, padding="same", activation="relu"))
    model.add(BatchNormalization())
    model.add(Conv1D(16, kernel_size=3, activation="relu"))
    model.add(keras.layers.GlobalAveragePooling1D())
    model.add(Dense(4, name="y_pred", activation="softmax"))
    return model


@FAMILY.model("Edge Impulse: regression", "regression", low=-3, high=3, cut="dense_2")
def ei_regression() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((33,)))
    model.add(Dense(20, activation="relu", name="dense_1"))
    model.add(Dense(10, activation="relu", name="dense_2"))
    model.add(Dense(1, name="y_pred"))
    model.compile(optimizer="adam", loss="mean_squared_error")
    return model


@FAMILY.model("Edge Impulse: anomaly detection, autoencoder block", "reconstruction", low=-3, high=3, devices=True)
def ei_anomaly() -> keras.Model:
    model = keras.Sequential()
    model.add(Input((33,)))
    for units in (16, 8, 4, 8, 16):
        model.add(Dense(units, activation="relu"))
    model.add(Dense(33))
    model.compile(optimizer="adam", loss="mae")
    return model


@FAMILY.model("Edge Impulse: transfer learning, images (MobileNetV2 0.05)", low=0, high=1)
def ei_image_transfer() -> keras.Model:
    base_model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.1, weights=None)
    model = keras.Sequential()
    model.add(Input((32, 32, 3), name="x_input"))
    # Don't include the base model's top layers.
    last_layer_index = -3
    model.add(keras.Model(inputs=base_model.inputs, outputs=base_model.layers[last_layer_index].output))
    model.add(Reshape((-1, model.layers[-1].output.shape[3])))
    model.add(Dense(16, activation="relu"))
    model.add(Dropout(0.1))
    model.add(Flatten())
    model.add(Dense(3, activation="softmax"))
    return model


@FAMILY.model("Edge Impulse: FOMO, logits of the training graph", "grid", low=0, high=1)
def ei_fomo() -> keras.Model:
    mobile_net_v2 = keras.applications.MobileNetV2(input_shape=(48, 48, 3), weights=None, alpha=0.1, include_top=False)
    # Cut MobileNet where it hits 1/8th input resolution; i.e. (HW/8, HW/8, C).
    cut_point = mobile_net_v2.get_layer("block_6_expand_relu")
    # Now attach a small additional head on the MobileNet.
    model = Conv2D(filters=16, kernel_size=1, strides=1, activation="relu", name="head")(cut_point.output)
    logits = Conv2D(filters=3, kernel_size=1, strides=1, activation=None, name="logits")(model)
    return keras.Model(inputs=mobile_net_v2.input, outputs=logits, name="fomo")


@FAMILY.model("Edge Impulse: FOMO as deployed, a softmax in each cell", "grid", low=0, high=1, cut="fomo")
def ei_fomo_deployed() -> keras.Model:
    inputs = keras.Input((48, 48, 3))
    x = ei_fomo()(inputs)
    return keras.Model(inputs, keras.layers.Softmax()(x))
