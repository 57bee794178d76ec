# SPDX-License-Identifier: Apache-2.0
"""Convolutional nets that were made small, or whose blocks those borrow."""

import keras
from keras import layers as kl
from keras import ops

from zoo.registry import Family

FAMILY = Family("Compact CNNs")


def _conv_bn(x, filters: int, size=1, strides: int = 1, activation: str | None = "relu", **options):
    x = kl.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, **options)(x)
    x = kl.BatchNormalization()(x)
    return kl.Activation(activation)(x) if activation else x


def _depthwise_bn(x, size: int = 3, strides: int = 1, activation: str | None = "relu"):
    x = kl.DepthwiseConv2D(size, strides=strides, padding="same", use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    return kl.Activation(activation)(x) if activation else x


def _classify(inputs, x, classes: int = 10) -> keras.Model:
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(classes, activation="softmax")(x))


@FAMILY.model("LeNet-5", low=0, high=1, devices=True)
def lenet5() -> keras.Model:
    return keras.Sequential(
        [
            kl.Input((28, 28, 1)),
            kl.Conv2D(6, 5, padding="same", activation="tanh"),
            kl.AveragePooling2D(2),
            kl.Conv2D(8, 5, activation="tanh"),
            kl.AveragePooling2D(2),
            kl.Flatten(),
            kl.Dense(24, activation="tanh"),
            kl.Dense(16, activation="tanh"),
            kl.Dense(10, activation="softmax"),
        ]
    )


@FAMILY.model("VGG (two blocks)")
def vgg() -> keras.Model:
    inputs = x = keras.Input((16, 16, 3))
    for filters in (8, 16):
        for _ in range(2):
            x = kl.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = kl.MaxPooling2D(2, strides=2)(x)
    x = kl.Flatten()(x)
    x = kl.Dropout(0.5)(kl.Dense(24, activation="relu")(x))
    return keras.Model(inputs, kl.Dense(10, activation="softmax")(x))


@FAMILY.model("SqueezeNet 1.1", devices=True)
def squeezenet() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    x = kl.MaxPooling2D(3, strides=2)(x)
    for squeeze, expand in ((4, 8), (4, 8), (6, 12)):
        x = kl.Conv2D(squeeze, 1, activation="relu")(x)
        left = kl.Conv2D(expand, 1, activation="relu")(x)
        right = kl.Conv2D(expand, 3, padding="same", activation="relu")(x)
        x = kl.Concatenate()([left, right])
    x = kl.Dropout(0.5)(x)
    x = kl.Conv2D(10, 1, activation="relu")(x)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Activation("softmax")(x))


def _channel_shuffle(x, groups: int):
    height, width, channels = x.shape[1:]
    x = kl.Reshape((height, width, groups, channels // groups))(x)
    x = kl.Permute((1, 2, 4, 3))(x)
    return kl.Reshape((height, width, channels))(x)


@FAMILY.model("ShuffleNet V1 (groups 2)", devices=True)
def shufflenet_v1() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = _conv_bn(inputs, 8, 3, 2)
    x = kl.MaxPooling2D(3, strides=2, padding="same")(x)
    for strides, filters in ((2, 24), (1, 24)):
        y = _conv_bn(x, 8, 1, groups=2)
        y = _channel_shuffle(y, 2)
        y = _depthwise_bn(y, 3, strides, None)
        y = _conv_bn(y, filters - x.shape[-1] if strides == 2 else filters, 1, activation=None, groups=2)
        if strides == 2:
            shortcut = kl.AveragePooling2D(3, strides=2, padding="same")(x)
            x = kl.ReLU()(kl.Concatenate()([shortcut, y]))
        else:
            x = kl.ReLU()(kl.Add()([x, y]))
    return _classify(inputs, x)


@FAMILY.model("ShuffleNet V2 (split and shuffle)", devices=True)
def shufflenet_v2() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = _conv_bn(inputs, 8, 3, 2)
    right = _conv_bn(x, 8)
    right = _depthwise_bn(right, 3, 2, None)
    right = _conv_bn(right, 8)
    left = _depthwise_bn(x, 3, 2, None)
    left = _conv_bn(left, 8)
    x = _channel_shuffle(kl.Concatenate()([left, right]), 2)
    for _ in range(2):
        left, right = ops.split(x, 2, axis=-1)
        right = _conv_bn(right, 8)
        right = _depthwise_bn(right, 3, 1, None)
        right = _conv_bn(right, 8)
        x = _channel_shuffle(kl.Concatenate()([left, right]), 2)
    return _classify(inputs, _conv_bn(x, 24))


@FAMILY.model("ResNeXt (cardinality 4)")
def resnext() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = _conv_bn(inputs, 16, 3)
    for filters, strides in ((16, 1), (24, 2)):
        y = _conv_bn(x, 8)
        y = _conv_bn(y, 8, 3, strides, groups=4)
        y = _conv_bn(y, filters, activation=None)
        if strides > 1:
            x = _conv_bn(x, filters, 1, strides, None)
        x = kl.ReLU()(kl.Add()([x, y]))
    return _classify(inputs, x)


@FAMILY.model("ResNet-18 with squeeze and excitation")
def se_resnet() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = _conv_bn(inputs, 8, 3)
    for filters, strides in ((8, 1), (16, 2)):
        y = _conv_bn(x, filters, 3, strides)
        y = _conv_bn(y, filters, 3, activation=None)
        scale = kl.GlobalAveragePooling2D()(y)
        scale = kl.Reshape((1, 1, filters))(scale)
        scale = kl.Dense(filters // 4, activation="relu", use_bias=False)(scale)
        scale = kl.Dense(filters, activation="sigmoid", use_bias=False)(scale)
        y = kl.Multiply()([y, scale])
        if strides > 1:
            x = _conv_bn(x, filters, 1, strides, None)
        x = kl.ReLU()(kl.Add()([x, y]))
    return _classify(inputs, x)


@FAMILY.model("CBAM (channel and spatial attention)")
def cbam() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = _conv_bn(inputs, 8, 3)
    hidden, out = kl.Dense(4, activation="relu"), kl.Dense(8)
    average = out(hidden(kl.GlobalAveragePooling2D()(x)))
    largest = out(hidden(kl.GlobalMaxPooling2D()(x)))
    channels = kl.Activation("sigmoid")(kl.Add()([average, largest]))
    x = kl.Multiply()([x, kl.Reshape((1, 1, 8))(channels)])
    maps = kl.Concatenate()([ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)])
    places = kl.Conv2D(1, 7, padding="same", activation="sigmoid", use_bias=False)(maps)
    x = kl.Multiply()([x, places])
    return _classify(inputs, _conv_bn(x, 16, 3, 2))


@FAMILY.model("ECA-Net (a convolution over channels)")
def eca_net() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = _conv_bn(inputs, 12, 3, 2)
    scale = kl.GlobalAveragePooling2D(keepdims=True)(x)
    scale = kl.Reshape((12, 1))(scale)
    scale = kl.Conv1D(1, 3, padding="same", use_bias=False, activation="sigmoid")(scale)
    scale = kl.Reshape((1, 1, 12))(scale)
    return _classify(inputs, _conv_bn(kl.Multiply()([x, scale]), 16, 3, 2))


@FAMILY.model("GhostNet")
def ghostnet() -> keras.Model:
    def ghost(x, filters: int, activation: str | None):
        primary = _conv_bn(x, filters // 2, 1, activation=activation)
        return kl.Concatenate()([primary, _depthwise_bn(primary, 3, 1, activation)])

    inputs = keras.Input((32, 32, 3))
    x = _conv_bn(inputs, 8, 3, 2)
    for hidden, filters, strides in ((16, 8, 1), (24, 12, 2)):
        y = ghost(x, hidden, "relu")
        if strides > 1:
            y = _depthwise_bn(y, 3, strides, None)
        scale = kl.GlobalAveragePooling2D(keepdims=True)(y)
        scale = kl.Conv2D(hidden // 4, 1, activation="relu")(scale)
        scale = kl.Activation("hard_sigmoid")(kl.Conv2D(hidden, 1)(scale))
        y = ghost(kl.Multiply()([y, scale]), filters, None)
        if strides > 1:
            x = _conv_bn(_depthwise_bn(x, 3, strides, None), filters, activation=None)
        x = kl.Add()([x, y])
    return _classify(inputs, x)


@FAMILY.model("MobileFaceNet", "embedding", devices=True)
def mobile_face_net() -> keras.Model:
    def prelu(x):
        return kl.PReLU(shared_axes=[1, 2])(x)

    inputs = keras.Input((28, 28, 3))
    x = prelu(_conv_bn(inputs, 8, 3, 2, None))
    x = prelu(_depthwise_bn(x, 3, 1, None))
    for strides in (2, 1):
        y = prelu(_conv_bn(x, 16, activation=None))
        y = prelu(_depthwise_bn(y, 3, strides, None))
        y = _conv_bn(y, 8, activation=None)
        x = kl.Add()([x, y]) if strides == 1 else y
    x = prelu(_conv_bn(x, 24, activation=None))
    x = kl.DepthwiseConv2D(7, use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    x = kl.Conv2D(16, 1, use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    x = kl.Flatten()(x)
    return keras.Model(inputs, kl.UnitNormalization()(x))


@FAMILY.model("MnasNet (squeeze and excitation inside)")
def mnasnet() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = _conv_bn(inputs, 8, 3, 2)
    x = _conv_bn(_depthwise_bn(x), 4, activation=None)
    y = _depthwise_bn(_conv_bn(x, 12), 5, 2)
    scale = ops.mean(y, axis=(1, 2), keepdims=True)
    scale = kl.Conv2D(4, 1, activation="relu")(scale)
    scale = kl.Conv2D(12, 1, activation=keras.ops.sigmoid)(scale)
    x = _conv_bn(y * scale, 8, activation=None)
    y = _conv_bn(_depthwise_bn(_conv_bn(x, 24), 3), 8, activation=None)
    return _classify(inputs, _conv_bn(x + y, 24))


@FAMILY.model("EfficientNet-Lite", devices=True)
def efficientnet_lite() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = _conv_bn(inputs, 8, 3, 2, "relu6")
    for filters, size, strides in ((8, 3, 1), (12, 5, 2), (12, 5, 1)):
        y = _conv_bn(x, 3 * x.shape[-1], activation="relu6")
        y = _depthwise_bn(y, size, strides, "relu6")
        y = _conv_bn(y, filters, activation=None)
        x = kl.Add()([x, kl.Dropout(0.2, noise_shape=(None, 1, 1, 1))(y)]) if y.shape == x.shape else y
    return _classify(inputs, _conv_bn(x, 24, activation="relu6"))


@FAMILY.model("MobileNetV3 block as operators (hard-swish by hand)")
def hard_swish_by_hand() -> keras.Model:
    def hard_swish(x):
        return x * ops.relu6(x + 3.0) / 6.0

    inputs = keras.Input((16, 16, 3))
    x = hard_swish(_conv_bn(inputs, 8, 3, 2, None))
    y = hard_swish(_conv_bn(x, 16, activation=None))
    y = hard_swish(_depthwise_bn(y, 5, 1, None))
    return _classify(inputs, x + _conv_bn(y, 8, activation=None))


@FAMILY.model("RepVGG (training graph)")
def repvgg() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for filters, strides in ((8, 2), (8, 1), (12, 2)):
        branches = [_conv_bn(x, filters, 3, strides, None), _conv_bn(x, filters, 1, strides, None)]
        if strides == 1:
            branches.append(kl.BatchNormalization()(x))
        x = kl.ReLU()(kl.Add()(branches))
    return _classify(inputs, x)


@FAMILY.model("Res2Net (slices in a hierarchy)")
def res2net() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = _conv_bn(inputs, 16, 3)
    y = _conv_bn(x, 16)
    parts = [y[..., 4 * i : 4 * i + 4] for i in range(4)]
    outputs = [parts[0]]
    for part in parts[1:]:
        outputs.append(_conv_bn(part if len(outputs) == 1 else part + outputs[-1], 4, 3))
    y = _conv_bn(ops.concatenate(outputs, axis=-1), 16, activation=None)
    return _classify(inputs, ops.relu(x + y))


@FAMILY.model("CSPNet (cross-stage partial, leaky ReLU)")
def cspnet() -> keras.Model:
    def block(x, filters: int, size: int = 1, strides: int = 1):
        return kl.LeakyReLU(negative_slope=0.1)(_conv_bn(x, filters, size, strides, None))

    inputs = keras.Input((16, 16, 3))
    x = block(inputs, 16, 3, 2)
    route = block(x, 8)
    y = block(x, 8)
    y = kl.Add()([y, block(block(y, 4), 8, 3)])
    return _classify(inputs, block(kl.Concatenate()([block(y, 8), route]), 16))


@FAMILY.model("GoogLeNet (inception module)")
def googlenet() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(8, 7, strides=2, padding="same", activation="relu")(inputs)
    x = kl.MaxPooling2D(3, strides=2, padding="same")(x)
    for _ in range(2):
        one = kl.Conv2D(4, 1, activation="relu")(x)
        three = kl.Conv2D(6, 3, padding="same", activation="relu")(kl.Conv2D(4, 1, activation="relu")(x))
        five = kl.Conv2D(4, 5, padding="same", activation="relu")(kl.Conv2D(2, 1, activation="relu")(x))
        pool = kl.Conv2D(4, 1, activation="relu")(kl.MaxPooling2D(3, strides=1, padding="same")(x))
        x = kl.Concatenate()([one, three, five, pool])
    return _classify(inputs, kl.Dropout(0.4)(x))


@FAMILY.model("Maxout and SELU MLP")
def selu_maxout() -> keras.Model:
    inputs = keras.Input((24,))
    x = kl.Dense(16, activation="selu", kernel_initializer="lecun_normal")(inputs)
    x = kl.AlphaDropout(0.1)(x)
    x = kl.Maximum()([kl.Dense(12)(x), kl.Dense(12)(x)])
    x = kl.Dense(12, activation="softplus")(x)
    return keras.Model(inputs, kl.Dense(4, activation="softmax")(x))
