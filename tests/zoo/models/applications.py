# SPDX-License-Identifier: Apache-2.0
"""keras.applications, by Keras' own builders; fewer blocks and channels where a builder takes them."""

import keras
from keras import applications
from keras import layers as kl
from keras.src.applications import mobilenet_v3
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from keras.src.applications.inception_v3 import conv2d_bn
from keras.src.applications.nasnet import NASNet
from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1, stack_residual_blocks_v2

from zoo.registry import Family

FAMILY = Family("keras.applications")
_SHAPE = (32, 32, 3)
_NEW = {"weights": None, "classes": 10}


@FAMILY.model("keras.applications.MobileNet", devices=True)
def mobilenet() -> keras.Model:
    return applications.MobileNet(_SHAPE, alpha=0.25, **_NEW)


@FAMILY.model("keras.applications.MobileNetV2", devices=True)
def mobilenet_v2() -> keras.Model:
    return applications.MobileNetV2(_SHAPE, alpha=0.1, **_NEW)


_SMALL = ((1, 8, 3, 2, True, False), (4.5, 8, 3, 2, False, False), (4, 12, 5, 2, True, True), (6, 12, 5, 1, True, True))
_LARGE = (
    (1, 8, 3, 1, False, False),
    (4, 8, 3, 2, False, False),
    (3, 12, 5, 2, True, False),
    (3, 12, 5, 1, True, False),
    (2.5, 16, 3, 2, False, True),
)


def _mobilenet_v3(blocks: tuple, model_type: str, last: int, minimalistic: bool) -> keras.Model:
    """By blocks of: expansion, filters, kernel, strides, squeeze and excitation, the wide activation."""

    def stacks(x, kernel, activation, se_ratio):
        for i, (expansion, filters, size, strides, excited, wide) in enumerate(blocks):
            size = kernel if size == 5 else size
            ratio, act = se_ratio if excited else None, activation if wide else mobilenet_v3.relu
            x = mobilenet_v3._inverted_res_block(x, expansion, filters, size, strides, ratio, act, i)
        return x

    return mobilenet_v3.MobileNetV3(stacks, last, _SHAPE, 1.0, model_type, minimalistic, **_NEW)


@FAMILY.model("keras.applications.MobileNetV3Small", low=0, high=255, devices=True)
def mobilenet_v3_small() -> keras.Model:
    return _mobilenet_v3(_SMALL, "small", 48, False)


@FAMILY.model("keras.applications.MobileNetV3Small(minimalistic=True)", low=0, high=255)
def mobilenet_v3_small_minimalistic() -> keras.Model:
    return _mobilenet_v3(_SMALL, "small", 48, True)


@FAMILY.model("keras.applications.MobileNetV3Large", low=0, high=255)
def mobilenet_v3_large() -> keras.Model:
    return _mobilenet_v3(_LARGE, "large", 48, False)


@FAMILY.model("keras.applications.MobileNetV3Large(minimalistic=True)", low=0, high=255)
def mobilenet_v3_large_minimalistic() -> keras.Model:
    return _mobilenet_v3(_LARGE, "large", 48, True)


@FAMILY.model("keras.applications.EfficientNetB0", low=0, high=255, devices=True)
def efficientnet_b0() -> keras.Model:
    common = {"repeats": 1, "id_skip": True, "se_ratio": 0.25}
    blocks = [
        {"kernel_size": 3, "filters_in": 32, "filters_out": 16, "expand_ratio": 1, "strides": 1, **common},
        {"kernel_size": 5, "filters_in": 16, "filters_out": 24, "expand_ratio": 6, "strides": 2, **common},
        {"kernel_size": 3, "filters_in": 24, "filters_out": 24, "expand_ratio": 6, "strides": 1, **common},
    ]
    return EfficientNet(0.25, 1.0, 224, blocks_args=blocks, input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.EfficientNetV2B0", low=0, high=255)
def efficientnet_v2_b0() -> keras.Model:
    common = {"num_repeat": 2, "strides": 2, "expand_ratio": 4}
    blocks = [
        {**common, "kernel_size": 3, "input_filters": 32, "output_filters": 32, "se_ratio": 0, "conv_type": 1},
        {**common, "kernel_size": 3, "input_filters": 32, "output_filters": 48, "se_ratio": 0.25, "conv_type": 0},
    ]
    return EfficientNetV2(0.25, 1.0, 224, blocks_args=blocks, input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.NASNetMobile")
def nasnet_mobile() -> keras.Model:
    return NASNet(
        _SHAPE, penultimate_filters=96, num_blocks=1, stem_block_filters=8, skip_reduction=False, name="nasnet", **_NEW
    )


@FAMILY.model("keras.applications.DenseNet121")
def densenet121() -> keras.Model:
    return DenseNet([2, 2, 1, 1], input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.ResNet50", devices=True)
def resnet50() -> keras.Model:
    def stacks(x):
        x = stack_residual_blocks_v1(x, 8, 2, stride1=1, name="conv2")
        return stack_residual_blocks_v1(x, 16, 2, name="conv3")

    return ResNet(stacks, False, True, "resnet50", input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.ResNet50V2")
def resnet50_v2() -> keras.Model:
    def stacks(x):
        x = stack_residual_blocks_v2(x, 8, 2, name="conv2")
        return stack_residual_blocks_v2(x, 16, 2, stride1=1, name="conv5")

    return ResNet(stacks, True, True, "resnet50v2", input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.ConvNeXtTiny", low=0, high=255)
def convnext_tiny() -> keras.Model:
    return ConvNeXt((1, 1, 1, 1), (8, 12, 16, 20), drop_path_rate=0.1, name="convnext", input_shape=_SHAPE, **_NEW)


@FAMILY.model("keras.applications.Xception", note="one block of the entry, middle and exit flow each")
def xception() -> keras.Model:
    image = keras.Input((48, 48, 3))
    x = kl.Conv2D(8, 3, strides=2, use_bias=False)(image)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("relu")(x)
    x = kl.Conv2D(12, 3, use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    x = kl.Activation("relu")(x)

    residual = kl.Conv2D(16, 1, strides=2, padding="same", use_bias=False)(x)
    residual = kl.BatchNormalization()(residual)
    x = _separable(x, 16)
    x = kl.Activation("relu")(x)
    x = _separable(x, 16)
    x = kl.MaxPooling2D(3, strides=2, padding="same")(x)
    x = kl.add([x, residual])

    residual = x
    for _ in range(3):
        x = kl.Activation("relu")(x)
        x = _separable(x, 16)
    x = kl.add([x, residual])

    residual = kl.Conv2D(24, 1, strides=2, padding="same", use_bias=False)(x)
    residual = kl.BatchNormalization()(residual)
    for filters in (16, 24):
        x = kl.Activation("relu")(x)
        x = _separable(x, filters)
    x = kl.MaxPooling2D(3, strides=2, padding="same")(x)
    x = kl.add([x, residual])
    x = _separable(x, 32)
    x = kl.Activation("relu")(x)
    x = kl.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, kl.Dense(10, activation="softmax", name="predictions")(x))


def _separable(x, filters: int):
    x = kl.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
    return kl.BatchNormalization()(x)


@FAMILY.model("keras.applications.InceptionV3", note="stem, mixed0, mixed3, mixed4, mixed9")
def inception_v3() -> keras.Model:
    image = keras.Input((56, 56, 3))
    x = conv2d_bn(image, 8, 3, 3, strides=(2, 2), padding="valid")
    x = conv2d_bn(x, 8, 3, 3, padding="valid")
    x = conv2d_bn(x, 8, 3, 3)
    x = kl.MaxPooling2D(3, strides=2)(x)

    one = conv2d_bn(x, 4, 1, 1)
    five = conv2d_bn(conv2d_bn(x, 4, 1, 1), 4, 5, 5)
    three = conv2d_bn(conv2d_bn(conv2d_bn(x, 4, 1, 1), 6, 3, 3), 6, 3, 3)
    pool = conv2d_bn(kl.AveragePooling2D(3, strides=1, padding="same")(x), 4, 1, 1)
    x = kl.concatenate([one, five, three, pool], axis=3, name="mixed0")

    three = conv2d_bn(x, 8, 3, 3, strides=(2, 2), padding="valid")
    twice = conv2d_bn(conv2d_bn(x, 4, 1, 1), 6, 3, 3)
    twice = conv2d_bn(twice, 6, 3, 3, strides=(2, 2), padding="valid")
    x = kl.concatenate([three, twice, kl.MaxPooling2D(3, strides=2)(x)], axis=3, name="mixed3")

    one = conv2d_bn(x, 6, 1, 1)
    seven = conv2d_bn(conv2d_bn(conv2d_bn(x, 4, 1, 1), 4, 1, 7), 6, 7, 1)
    pool = conv2d_bn(kl.AveragePooling2D(3, strides=1, padding="same")(x), 6, 1, 1)
    x = kl.concatenate([one, seven, pool], axis=3, name="mixed4")

    one = conv2d_bn(x, 6, 1, 1)
    split = conv2d_bn(x, 6, 1, 1)
    split = kl.concatenate([conv2d_bn(split, 6, 1, 3), conv2d_bn(split, 6, 3, 1)], axis=3, name="mixed9_0")
    x = kl.concatenate([one, split], axis=3, name="mixed9")
    x = kl.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, kl.Dense(10, activation="softmax", name="predictions")(x))
