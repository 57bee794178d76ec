# SPDX-License-Identifier: Apache-2.0
"""Builds of both backends do the same: every loss with every optimiser, nets of every layer kind, and real models."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl
from oracle.net_weights import randomise_weights

import tt_tflm
from tt_tflm.plan.update_plan import LayerPlan

from .boards import both, check_equal, check_exported, pair, use

CLASSES = 3
OPTIMIZERS = {"sgd": tt_tflm.SGD, "momentum": tt_tflm.Momentum, "adam": tt_tflm.Adam}
# TFLM's reference kernels take a second for a forward pass at 128 x 128, the size that the models come in:
# TT_BACKBONE_SIDE=128 pytest tests/tflm/test_models.py -m data
SIDE = int(os.environ.get("TT_BACKBONE_SIDE", "64"))
LAST_LAYERS = 6  # two blocks
BACKBONES = ("mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3")


def small_net(head: str) -> keras.Model:
    """Odd sizes, explicit padding, an inverted residual block, a ReLU6; ends in a softmax, logits or an embedding."""
    image = keras.Input((11, 9, 3), name="image")
    x = kl.ZeroPadding2D(((0, 1), (2, 0)), name="pad")(image)
    x = trunk = kl.Conv2D(4, 3, strides=2, activation="relu6", name="stem")(x)
    x = kl.Conv2D(8, 1, activation="relu6", name="expand")(x)
    x = kl.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = kl.Add(name="sum")([trunk, kl.Conv2D(4, 1, name="project")(x)])
    x = kl.Conv2D(6, (2, 3), strides=(1, 2), padding="same", activation="relu", name="last")(x)
    x = kl.GlobalAveragePooling2D(name="mean")(x)
    if head != "embedding":
        x = kl.Dense(CLASSES, name="logits", activation="softmax" if head == "softmax" else None)(x)
    return _with_weights(keras.Model(image, x, name="small_net"))


def many_kinds() -> keras.Model:
    """Layers whose forward or gradient is an op of its own."""
    image = keras.Input((10, 9, 2), name="image")
    x = kl.Rescaling(0.5, offset=-0.1, name="rescale")(image)
    x = kl.Activation("hard_silu", name="swish")(kl.Conv2D(4, 3, name="first")(x))
    gate = kl.Dense(4, activation="sigmoid", name="excite")(kl.GlobalAveragePooling2D(name="squeeze")(x))
    x = kl.Multiply(name="gated")([x, kl.Reshape((1, 1, 4), name="shape")(gate)])
    left = kl.MaxPooling2D(2, padding="same", name="max")(x)
    right = kl.AveragePooling2D(2, padding="same", name="average")(kl.Activation("tanh", name="tanh")(x))
    x = kl.Concatenate(name="join")([left, right])
    x = kl.LeakyReLU(negative_slope=0.1, name="leaky")(kl.Conv2D(5, 2, name="second")(x))
    x = kl.ReLU(max_value=2.0, name="bounded")(x)
    return _with_weights(keras.Model(image, kl.Dense(CLASSES, name="logits")(kl.Flatten(name="flat")(x)), name="kinds"))


def signal(head: bool = True) -> keras.Model:
    """One-dimensional layers; ends in logits or an embedding."""
    layers = [
        keras.Input((17, 3)),
        kl.Conv1D(4, 5, strides=2, padding="same", activation="relu", name="conv_1"),
        kl.MaxPooling1D(2, name="max"),
        kl.Conv1D(5, 3, padding="same", use_bias=False, name="conv_2"),
        kl.GlobalAveragePooling1D(name="mean"),
        *([kl.Dense(CLASSES, name="logits")] if head else []),
    ]
    return _with_weights(keras.Sequential(layers, name="signal"))


def _with_weights(model: keras.Model) -> keras.Model:
    randomise_weights(model, np.random.default_rng(3))
    return model


def samples(model: keras.Model, count: int = 6) -> tuple[list[np.ndarray], list[int]]:
    values = np.random.default_rng(0).standard_normal((count, *model.input_shape[1:])).astype(np.float32)
    return list(values), [i % CLASSES for i in range(count)]


def check(model: keras.Model, set_up) -> None:
    builds, (x, labels) = pair(model, set_up), samples(model)
    c, tflm = (use(builds[backend], x, labels) for backend in ("c", "tflm"))
    assert check_equal(builds["tflm"], c, tflm)
    check_exported(c, x[0])
    check_exported(tflm, x[0])


@pytest.mark.parametrize(
    ("head", "optimizer", "batch_size"),
    [("softmax", "sgd", 1), ("logits", "momentum", 1), ("embedding", "adam", 1), ("embedding", "momentum", 3)],
)
def test_fixed_plan_trains_as_the_c_backend(head: str, optimizer: str, batch_size: int) -> None:
    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss = tt_tflm.PrototypeLoss(CLASSES) if head == "embedding" else tt_tflm.SoftmaxLoss()
        converter.optimizer = OPTIMIZERS[optimizer](learning_rate=0.02, batch_size=batch_size)
        plan = {"last": "all", "depthwise": [0, 3, 7], "stem": LayerPlan((1, 2), weights=False)}
        converter.plan = tt_tflm.UpdatePlan(layers=plan)

    check(small_net(head), set_up)


@pytest.mark.parametrize(("head", "optimizer"), [("softmax", "sgd"), ("embedding", "adam")])
def test_dynamic_build_selects_and_trains_as_the_c_backend(head: str, optimizer: str) -> None:
    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss = tt_tflm.PrototypeLoss(CLASSES) if head == "embedding" else tt_tflm.SoftmaxLoss()
        converter.optimizer = OPTIMIZERS[optimizer](learning_rate=0.02)
        converter.mode, converter.budget = "dynamic", tt_tflm.Budget(backward_macs="40%")

    check(small_net(head), set_up)


@pytest.mark.parametrize(
    ("model", "plan"),
    [
        (many_kinds, {"first": [0, 3], "excite": "all", "second": [1, 2], "logits": "all"}),
        (signal, {"conv_1": [0, 2], "conv_2": "all"}),
    ],
    ids=["kinds", "signal"],
)
def test_every_kind_of_layer(model, plan: dict[str, object]) -> None:
    def set_up(converter: tt_tflm.TrainableConverter) -> None:
        converter.loss, converter.input_scaling = tt_tflm.SoftmaxLoss(), (1 / 127.5, -1.0)
        converter.plan = tt_tflm.UpdatePlan(layers=plan)

    check(model(), set_up)


def pictures(folder: Path, side: int = 128) -> tuple[list[np.ndarray], list[int]]:
    """One picture of each of five classes, float32 (side, side, 3) in -1 to 1."""
    with np.load(folder / "examples" / "gtsrb_dev00.npz") as episode:
        _, first = np.unique(episode["support_y"], return_index=True)
        x = episode["support_x"][first].astype(np.float32)
    x = keras.ops.convert_to_numpy(keras.ops.image.resize(x, (side, side))) / np.float32(127.5) - np.float32(1)
    return list(x), list(range(len(x)))


@pytest.fixture(scope="module")
def backbone(request: pytest.FixtureRequest, data_folder: Path) -> tt_tflm.TrainableConverter:
    """Of a backbone for images of SIDE."""
    model = keras.saving.load_model(data_folder / "models" / f"{request.param}_backbone.keras")
    smaller = keras.models.clone_model(model, input_tensors=keras.Input((SIDE, SIDE, 3)))
    smaller.set_weights(model.get_weights())
    return tt_tflm.TrainableConverter.from_keras_model(smaller)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "mode"),
    # Every backbone; choosing on the board does not depend on which.
    [(name, "static") for name in BACKBONES] + [(BACKBONES[0], "dynamic")],
    indirect=["backbone"],
)
def test_backbones_train_as_the_c_backend(backbone: tt_tflm.TrainableConverter, mode: str, data_folder: Path) -> None:
    backbone.loss, backbone.mode = tt_tflm.PrototypeLoss(5), mode
    if mode == "static":
        backbone.optimizer, backbone.budget, backbone.tail = tt_tflm.SGD(learning_rate=0.0002), tt_tflm.Budget(), None
        last = [layer.name for layer in backbone.layers][-LAST_LAYERS:]
        backbone.plan = tt_tflm.UpdatePlan(layers=dict.fromkeys(last, "all"))
    else:
        backbone.optimizer, backbone.plan = tt_tflm.Momentum(learning_rate=0.0001), None
        backbone.tail, backbone.budget = 9, tt_tflm.Budget(training_memory="256KB", backward_macs="15%")
    builds, (x, labels) = both(backbone), pictures(data_folder, SIDE)
    c, tflm = (use(builds[backend], x, labels) for backend in ("c", "tflm"))
    assert check_equal(builds["tflm"], c, tflm)
    if mode == "static":
        check_exported(tflm, x[0])
