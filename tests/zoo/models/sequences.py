# SPDX-License-Identifier: Apache-2.0
"""Nets for motion, keywords and biosignals: convolutions in time, recurrences, and both."""

import keras
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Sequences")
_KEYWORD = (10, 8)  # frames, MFCCs
_MOTION = (32, 6)  # samples, axes


@FAMILY.model("HAR CNN (UCI HAR)", low=-3, high=3, devices=True)
def har_cnn() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input(_MOTION),
            kl.Conv1D(16, 3, activation="relu"),
            kl.Conv1D(16, 3, activation="relu"),
            kl.Dropout(0.5),
            kl.MaxPooling1D(2),
            kl.Flatten(),
            kl.Dense(24, activation="relu"),
            kl.Dense(6, activation="softmax"),
        ]
    )


@FAMILY.model("HAR CNN-LSTM (TimeDistributed windows)", low=-3, high=3)
def har_cnn_lstm() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((4, 12, 6)),
            kl.TimeDistributed(kl.Conv1D(8, 3, activation="relu")),
            kl.TimeDistributed(kl.Conv1D(8, 3, activation="relu")),
            kl.TimeDistributed(kl.Dropout(0.5)),
            kl.TimeDistributed(kl.MaxPooling1D(2)),
            kl.TimeDistributed(kl.Flatten()),
            kl.LSTM(12),
            kl.Dropout(0.5),
            kl.Dense(16, activation="relu"),
            kl.Dense(6, activation="softmax"),
        ]
    )


@FAMILY.model("DeepConvLSTM (Ordonez & Roggen)", low=-3, high=3, devices=True)
def deep_conv_lstm() -> keras.Model:
    inputs = keras.Input((24, 4))
    x = kl.Reshape((24, 4, 1))(inputs)
    for _ in range(4):
        x = kl.Conv2D(6, (5, 1), activation="relu")(x)
    x = kl.Reshape((x.shape[1], -1))(x)
    x = kl.LSTM(12, return_sequences=True)(x)
    x = kl.LSTM(12)(x)
    return keras.Model(inputs, kl.Dense(6, activation="softmax")(x))


@FAMILY.model("Hello Edge: GRU keyword net", devices=True)
def keyword_gru() -> keras.Model:
    return keras.Sequential([kl.Input(_KEYWORD), kl.GRU(16), kl.Dense(12, activation="softmax")])


@FAMILY.model("Keyword spotting: simple RNN")
def keyword_simple_rnn() -> keras.Model:
    return keras.Sequential([kl.Input(_KEYWORD), kl.SimpleRNN(16), kl.Dense(12, activation="softmax")])


@FAMILY.model("Keyword spotting: bidirectional LSTM")
def keyword_bilstm() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input(_KEYWORD),
            kl.BatchNormalization(),
            kl.Bidirectional(kl.LSTM(8, return_sequences=True)),
            kl.Bidirectional(kl.LSTM(8)),
            kl.Dense(12, activation="softmax"),
        ]
    )


@FAMILY.model("Hello Edge: CRNN keyword net")
def keyword_crnn() -> keras.Model:
    inputs = keras.Input((16, 10, 1))
    x = kl.Conv2D(6, (10, 4), strides=(2, 2), padding="same", activation="relu")(inputs)
    x = kl.Reshape((8, -1))(x)
    x = kl.GRU(12, return_sequences=True)(x)
    x = kl.GRU(12)(x)
    x = kl.Dense(16, activation="relu")(x)
    return keras.Model(inputs, kl.Dense(12, activation="softmax")(x))


@FAMILY.model("Attention RNN for keywords (de Andrade et al.)")
def keyword_attention_rnn() -> keras.Model:
    inputs = keras.Input(_KEYWORD)
    x = kl.Reshape((*_KEYWORD, 1))(inputs)
    x = kl.Conv2D(6, (5, 1), activation="relu", padding="same")(x)
    x = kl.BatchNormalization()(x)
    x = kl.Conv2D(1, (5, 1), activation="relu", padding="same")(x)
    x = kl.BatchNormalization()(x)
    x = ops.squeeze(x, -1)
    x = kl.Bidirectional(kl.LSTM(8, return_sequences=True))(x)
    first = x[:, -1]
    query = kl.Dense(16)(first)
    scores = kl.Dot(axes=[1, 2])([query, x])
    scores = kl.Softmax(name="attention")(scores)
    attended = kl.Dot(axes=[1, 1])([scores, x])
    x = kl.Dense(16, activation="relu")(attended)
    return keras.Model(inputs, kl.Dense(12, activation="softmax")(x))


@FAMILY.model("TCN (Bai et al.)", devices=True)
def tcn() -> keras.Model:
    inputs = keras.Input((32, 4))
    x = inputs
    for dilation in (1, 2, 4):
        residual = x
        for _ in range(2):
            x = kl.Conv1D(8, 3, padding="causal", dilation_rate=dilation)(x)
            x = kl.Activation("relu")(x)
            x = kl.SpatialDropout1D(0.1)(x)
        if residual.shape[-1] != 8:
            residual = kl.Conv1D(8, 1, padding="same")(residual)
        x = kl.Activation("relu")(kl.add([x, residual]))
    x = x[:, -1, :]
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(x))


@FAMILY.model("WaveNet (gated, skip connections)")
def wavenet_gated() -> keras.Model:
    inputs = keras.Input((32, 4))
    x = kl.Conv1D(8, 2, padding="causal")(inputs)
    skips = []
    for dilation in (1, 2, 4):
        gate = kl.Conv1D(8, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(x)
        value = kl.Conv1D(8, 2, padding="causal", dilation_rate=dilation, activation="tanh")(x)
        z = kl.Multiply()([value, gate])
        skips.append(kl.Conv1D(8, 1)(z))
        x = kl.Add()([x, kl.Conv1D(8, 1)(z)])
    x = kl.Activation("relu")(kl.Add()(skips))
    x = kl.Conv1D(8, 1, activation="relu")(x)
    x = kl.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(x))


@FAMILY.model("TC-ResNet8 (Choi et al.)", devices=True)
def tc_resnet8() -> keras.Model:
    inputs = keras.Input((32, 1, 10))
    x = kl.Conv2D(8, (3, 1), padding="same", use_bias=False)(inputs)
    for filters in (12, 16):
        residual = kl.Conv2D(filters, 1, strides=(2, 2), padding="same", use_bias=False)(x)
        residual = kl.ReLU()(kl.BatchNormalization()(residual))
        x = kl.Conv2D(filters, (9, 1), strides=(2, 2), padding="same", use_bias=False)(x)
        x = kl.ReLU()(kl.BatchNormalization()(x))
        x = kl.Conv2D(filters, (9, 1), padding="same", use_bias=False)(x)
        x = kl.BatchNormalization()(x)
        x = kl.ReLU()(kl.Add()([x, residual]))
    x = kl.AveragePooling2D((8, 1))(x)
    x = kl.Dropout(0.5)(x)
    x = kl.Conv2D(12, 1, use_bias=False)(x)
    x = kl.Reshape((12,))(x)
    return keras.Model(inputs, kl.Softmax()(x))


@FAMILY.model("res8 for keywords (Tang & Lin)")
def keyword_res8() -> keras.Model:
    inputs = keras.Input((24, 16, 1))
    x = kl.Conv2D(8, 3, padding="same", use_bias=False, activation="relu")(inputs)
    x = kl.AveragePooling2D((4, 3))(x)
    for _ in range(3):
        y = kl.Conv2D(8, 3, padding="same", use_bias=False, activation="relu")(x)
        y = kl.BatchNormalization(center=False, scale=False)(y)
        y = kl.Conv2D(8, 3, padding="same", use_bias=False, activation="relu")(y)
        y = kl.BatchNormalization(center=False, scale=False)(y)
        x = kl.Add()([x, y])
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(12, activation="softmax")(x))


@FAMILY.model("MatchboxNet (separable convolutions in time)")
def matchbox_net() -> keras.Model:
    inputs = keras.Input((32, 10))
    x = kl.SeparableConv1D(12, 11, strides=2, padding="same", use_bias=False)(inputs)
    x = kl.ReLU()(kl.BatchNormalization()(x))
    residual = kl.BatchNormalization()(kl.Conv1D(12, 1, use_bias=False)(x))
    for _ in range(2):
        x = kl.SeparableConv1D(12, 9, padding="same", use_bias=False)(x)
        x = kl.BatchNormalization()(x)
        x = kl.Dropout(0.1)(kl.ReLU()(x))
    x = kl.ReLU()(kl.Add()([x, residual]))
    x = kl.SeparableConv1D(16, 7, dilation_rate=2, padding="same", use_bias=False)(x)
    x = kl.ReLU()(kl.BatchNormalization()(x))
    x = kl.Conv1D(12, 1)(x)
    x = kl.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, kl.Softmax()(x))


@FAMILY.model("BC-ResNet block (broadcast residual)")
def bc_resnet() -> keras.Model:
    inputs = keras.Input((10, 24, 1))  # frequencies, frames
    x = kl.Conv2D(8, 5, strides=(2, 1), padding="same", use_bias=False)(inputs)
    x = kl.ReLU()(kl.BatchNormalization()(x))
    for dilation in (1, 2):
        f2 = kl.DepthwiseConv2D((3, 1), padding="same", use_bias=False)(x)
        f2 = kl.BatchNormalization()(f2)
        f1 = ops.mean(f2, axis=1, keepdims=True)
        f1 = kl.DepthwiseConv2D((1, 3), padding="same", dilation_rate=(1, dilation), use_bias=False)(f1)
        f1 = kl.Activation("swish")(kl.BatchNormalization()(f1))
        f1 = kl.SpatialDropout2D(0.1)(kl.Conv2D(8, 1, use_bias=False)(f1))
        x = kl.ReLU()(x + f2 + f1)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(12, activation="softmax")(x))


@FAMILY.model("EEGNet (Lawhern et al.)", devices=True)
def eegnet() -> keras.Model:
    channels, samples = 8, 64
    inputs = keras.Input((channels, samples, 1))
    x = kl.Conv2D(4, (1, 16), padding="same", use_bias=False)(inputs)
    x = kl.BatchNormalization()(x)
    x = kl.DepthwiseConv2D(
        (channels, 1), use_bias=False, depth_multiplier=2, depthwise_constraint=keras.constraints.max_norm(1.0)
    )(x)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("elu")(x)
    x = kl.AveragePooling2D((1, 4))(x)
    x = kl.Dropout(0.5)(x)
    x = kl.SeparableConv2D(8, (1, 16), use_bias=False, padding="same")(x)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("elu")(x)
    x = kl.AveragePooling2D((1, 8))(x)
    x = kl.Dropout(0.5)(x)
    x = kl.Flatten(name="flatten")(x)
    x = kl.Dense(4, name="dense", kernel_constraint=keras.constraints.max_norm(0.25))(x)
    return keras.Model(inputs, kl.Activation("softmax", name="softmax")(x))


@FAMILY.model("ShallowConvNet for EEG (Schirrmeister et al.)")
def shallow_conv_net() -> keras.Model:
    def safe_log(x):
        return ops.log(ops.maximum(x, 1e-7))

    inputs = keras.Input((6, 64, 1))
    x = kl.Conv2D(6, (1, 13))(inputs)
    x = kl.Conv2D(6, (6, 1), use_bias=False)(x)
    x = kl.BatchNormalization(axis=-1, epsilon=1e-5, momentum=0.9)(x)
    x = kl.Activation(ops.square)(x)
    x = kl.AveragePooling2D((1, 20), strides=(1, 7))(x)
    x = kl.Activation(safe_log)(x)
    x = kl.Dropout(0.5)(x)
    x = kl.Flatten()(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("ECG heartbeat CNN (Kachuee et al.)", low=0, high=1)
def ecg_residual_cnn() -> keras.Model:
    inputs = keras.Input((64, 1))
    x = kl.Conv1D(8, 5)(inputs)
    for _ in range(2):
        y = kl.Conv1D(8, 5, padding="same")(x)
        y = kl.Activation("relu")(y)
        y = kl.Conv1D(8, 5, padding="same")(y)
        x = kl.Activation("relu")(kl.Add()([y, x]))
        x = kl.MaxPooling1D(5, strides=2)(x)
    x = kl.Flatten()(x)
    x = kl.Dense(16)(x)
    x = kl.Activation("relu")(x)
    x = kl.Dense(16)(x)
    return keras.Model(inputs, kl.Softmax()(kl.Dense(5)(x)))


@FAMILY.model("ECG arrhythmia ResNet (Hannun et al.)", "grid", cut="time_distributed")
def ecg_arrhythmia() -> keras.Model:
    inputs = keras.Input((64, 1))
    x = kl.Conv1D(8, 16, padding="same")(inputs)
    x = kl.Activation("relu")(kl.BatchNormalization()(x))
    for stride in (1, 2):
        shortcut = kl.MaxPooling1D(stride)(x) if stride > 1 else x
        y = kl.Activation("relu")(kl.BatchNormalization()(x))
        y = kl.Conv1D(8, 16, strides=stride, padding="same")(y)
        y = kl.Activation("relu")(kl.BatchNormalization()(y))
        y = kl.Conv1D(8, 16, padding="same")(kl.Dropout(0.2)(y))
        x = kl.Add()([shortcut, y])
    x = kl.Activation("relu")(kl.BatchNormalization()(x))
    x = kl.TimeDistributed(kl.Dense(4))(x)
    return keras.Model(inputs, kl.Activation("softmax")(x))


@FAMILY.model("InceptionTime (Fawaz et al.)")
def inception_time() -> keras.Model:
    inputs = keras.Input((32, 3))
    x = inputs
    for _ in range(2):
        bottleneck = kl.Conv1D(4, 1, padding="same", use_bias=False)(x)
        branches = [kl.Conv1D(4, size, padding="same", use_bias=False)(bottleneck) for size in (10, 5, 3)]
        pooled = kl.MaxPool1D(3, strides=1, padding="same")(x)
        branches.append(kl.Conv1D(4, 1, padding="same", use_bias=False)(pooled))
        x = kl.Concatenate(axis=2)(branches)
        x = kl.Activation("relu")(kl.BatchNormalization()(x))
    shortcut = kl.BatchNormalization()(kl.Conv1D(16, 1, padding="same", use_bias=False)(inputs))
    x = kl.Activation("relu")(kl.Add()([x, shortcut]))
    x = kl.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))


@FAMILY.model("LSTM-FCN (Karim et al.)")
def lstm_fcn() -> keras.Model:
    inputs = keras.Input((1, 24))
    x = kl.Dropout(0.8)(kl.LSTM(8)(inputs))
    y = kl.Permute((2, 1))(inputs)
    for filters, size in ((8, 8), (12, 5), (8, 3)):
        y = kl.Conv1D(filters, size, padding="same", kernel_initializer="he_uniform")(y)
        y = kl.Activation("relu")(kl.BatchNormalization()(y))
    y = kl.GlobalAveragePooling1D()(y)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(kl.concatenate([x, y])))
