# SPDX-License-Identifier: Apache-2.0
"""The imported module computes what Keras computes, layer by layer, with weights that keep their Keras meaning."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_tflm.errors import InputError
from tt_tflm.frontend import tflite_import
from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.quiet import import_keras
from tt_tflm.frontend.tflite_import import to_relax

keras = import_keras()
L = keras.layers

# name: (input shape, layers, operators expected)
CASES: dict[str, tuple[tuple[int, ...], list[Any], str]] = {
    # Convolutions and their corners.
    "conv2d": ((7, 5, 3), [L.Conv2D(4, (3, 2), padding="same", strides=2)], "nn.conv2d add"),
    "conv2d stride 3": ((8, 5, 3), [L.Conv2D(4, 5, padding="same", strides=3)], "nn.conv2d add"),
    "conv2d two strides": ((8, 9, 3), [L.Conv2D(4, 3, padding="same", strides=(1, 2))], "nn.conv2d add"),
    "conv2d larger than its input": ((2, 2, 3), [L.Conv2D(3, 5, padding="same", strides=2)], "nn.conv2d add"),
    "conv2d without bias": ((5, 5, 3), [L.Conv2D(4, 3, use_bias=False)], "nn.conv2d add"),
    "pointwise": ((5, 5, 3), [L.Conv2D(4, 1, activation="relu6")], "nn.conv2d add clip"),
    "pointwise stride 2": ((5, 5, 3), [L.Conv2D(4, 1, strides=2)], "nn.conv2d add"),
    "pointwise on one pixel": ((1, 1, 5), [L.Conv2D(4, 1), L.Conv2D(3, 1)], "nn.conv2d add nn.conv2d add"),
    "conv2d on one channel": ((9, 9, 1), [L.Conv2D(4, 3, padding="same", strides=2)], "nn.conv2d add"),
    "depthwise": ((9, 8, 3), [L.DepthwiseConv2D(3, padding="same", strides=2)], "nn.conv2d add"),
    "depthwise multiplier": ((9, 9, 2), [L.DepthwiseConv2D(3, depth_multiplier=3)], "nn.conv2d add"),
    "depthwise on one channel": ((9, 9, 1), [L.DepthwiseConv2D(3, depth_multiplier=4)], "nn.conv2d add"),
    "depthwise 1x1": ((5, 5, 2), [L.DepthwiseConv2D(1, use_bias=False)], "nn.conv2d add"),
    "separable": (
        (7, 7, 3),
        [L.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same", activation="relu")],
        "nn.conv2d add nn.conv2d add nn.relu",
    ),
    "conv1d": ((9, 3), [L.Conv1D(4, 3, strides=2, padding="same")], "reshape nn.conv2d add reshape"),
    "conv1d twice": ((9, 3), [L.Conv1D(4, 3), L.Conv1D(2, 1)], "reshape nn.conv2d add reshape " * 2),
    # Dense, on every rank.
    "dense": ((5,), [L.Dense(4)], "matmul add"),
    "dense without bias": ((5,), [L.Dense(4, use_bias=False)], "matmul add"),
    "dense on steps": ((3, 5), [L.Dense(4, activation="relu")], "matmul add nn.relu"),
    "dense on pixels": ((3, 4, 5), [L.Dense(4)], "matmul add"),
    "dense of one feature": ((3, 1), [L.Dense(4, use_bias=False)], "matmul add"),
    # Batch norm.
    "conv2d norm": ((5, 5, 3), [L.Conv2D(4, 3, use_bias=False), L.BatchNormalization()], "nn.conv2d add"),
    "depthwise norm": ((5, 5, 3), [L.DepthwiseConv2D(3, depth_multiplier=2), L.BatchNormalization()], "nn.conv2d add"),
    "separable norm": ((7, 7, 3), [L.SeparableConv2D(4, 3), L.BatchNormalization()], "nn.conv2d add nn.conv2d add"),
    "conv1d norm": ((7, 3), [L.Conv1D(4, 2), L.BatchNormalization()], "reshape nn.conv2d add reshape"),
    "dense norm": ((5,), [L.Dense(4, use_bias=False), L.BatchNormalization()], "matmul add"),
    "norm without gamma and beta": (
        (5,),
        [L.Dense(4), L.BatchNormalization(scale=False, center=False)],
        "matmul add",
    ),
    "norm, dropout, norm": (
        (5, 5, 3),
        [L.Conv2D(4, 1), L.BatchNormalization(), L.Dropout(0.1), L.BatchNormalization()],
        "nn.conv2d add",
    ),
    "norm first": ((5, 5, 3), [L.BatchNormalization(), L.Conv2D(4, 1)], "multiply add nn.conv2d add"),
    "dense relu norm dense": (
        (5,),
        [L.Dense(4, activation="relu"), L.BatchNormalization(), L.Dense(3)],
        "matmul add nn.relu multiply add matmul add",
    ),
    # Activations.
    "relu": ((5, 5, 3), [L.ReLU()], "nn.relu"),
    "relu 6": ((5, 5, 3), [L.ReLU(6)], "clip"),
    "relu 4": ((5, 5, 3), [L.ReLU(4.0)], "clip"),
    "relu slope": ((5, 5, 3), [L.ReLU(negative_slope=0.1)], "nn.leakyrelu"),
    "relu slope and bound": ((5, 5, 3), [L.ReLU(6.0, negative_slope=0.1)], "clip nn.leakyrelu"),
    "leaky relu": ((5, 5, 3), [L.LeakyReLU(0.1)], "nn.leakyrelu"),
    "leaky_relu": ((5, 5, 3), [L.Activation("leaky_relu")], "nn.leakyrelu"),
    "hard_silu": ((5, 5, 3), [L.Activation("hard_silu")], "add clip multiply multiply"),
    "hard_swish after conv2d": (
        (5, 5, 3),
        [L.Conv2D(4, 1, activation="hard_swish")],
        "nn.conv2d add add clip multiply multiply",
    ),
    "sigmoid": ((5, 5, 3), [L.Activation("sigmoid")], "sigmoid"),
    "tanh": ((5, 5, 3), [L.Activation("tanh")], "tanh"),
    "softmax": ((5,), [L.Dense(3, activation="softmax")], "matmul add nn.softmax"),
    "softmax layer": ((5, 3), [L.Softmax()], "nn.softmax"),
    "linear": ((5,), [L.Activation("linear"), L.Dense(3, activation="linear")], "matmul add"),
    # Pooling, padding, shapes.
    "max pool": ((5, 7, 3), [L.MaxPooling2D(3, 2, padding="same")], "nn.max_pool2d"),
    "average pool": ((7, 7, 3), [L.AveragePooling2D(3, 2, padding="same")], "nn.avg_pool2d"),
    "average pool of uneven size": ((7, 7, 3), [L.AveragePooling2D((2, 3), (2, 1))], "nn.avg_pool2d"),
    "max pool 1d": ((7, 3), [L.MaxPooling1D(3, 2, padding="same")], "reshape nn.max_pool2d reshape"),
    "average pool 1d": ((7, 3), [L.AveragePooling1D(2, padding="same")], "reshape nn.avg_pool2d reshape"),
    "global average": ((3, 4, 5), [L.GlobalAveragePooling2D()], "mean"),
    "global average, axes kept": ((3, 4, 5), [L.GlobalAveragePooling2D(keepdims=True)], "mean"),
    "global max": ((3, 4, 5), [L.GlobalMaxPooling2D()], "max"),
    "global max, axes kept": ((3, 4, 5), [L.GlobalMaxPooling2D(keepdims=True)], "max"),
    "global average 1d": ((7, 3), [L.GlobalAveragePooling1D()], "mean"),
    "global max 1d": ((7, 3), [L.GlobalMaxPooling1D()], "max"),
    "padding": (
        (5, 7, 3),
        [L.ZeroPadding2D(((0, 1), (1, 0))), L.DepthwiseConv2D(3, strides=2)],
        "nn.pad nn.conv2d add",
    ),
    "padding before a pool": ((5, 5, 3), [L.ZeroPadding2D(1), L.MaxPooling2D(3, 2)], "nn.pad nn.max_pool2d"),
    "padding 1d": (
        (5, 3),
        [L.ZeroPadding1D((1, 2)), L.Conv1D(4, 3)],
        "nn.pad reshape nn.conv2d add reshape",
    ),
    "reshape": ((4, 6), [L.Reshape((2, 3, 4)), L.Flatten(), L.Reshape((-1, 4))], "reshape reshape reshape"),
    "spatial dropout": ((5, 5, 3), [L.SpatialDropout2D(0.5), L.ReLU()], "nn.relu"),
    # What TFLite would move into the next layer.
    "rescaling": ((8, 8, 3), [L.Rescaling(1 / 127.5, -1), L.Conv2D(4, 3)], "multiply add nn.conv2d add"),
    "rescaling by channel": ((4, 4, 3), [L.Rescaling([1.0, 2.0, 3.0], [0.5, 0.2, 0.1])], "multiply add"),
    "dense dense": ((5,), [L.Dense(4), L.Dense(3)], "matmul add " * 2),
}


def _max_error(module: Any, model: Any, run_relax: Callable[..., np.ndarray], scale: float = 3.0) -> float:
    image = (scale * np.random.default_rng(1).normal(size=(1, *model.input_shape[1:]))).astype(np.float32)
    expected = np.asarray(model(image))
    received = run_relax(module, image)
    assert received.shape == expected.shape
    return float(np.max(np.abs(received - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize("name", CASES)
def test_layers_compute_what_keras_computes(
    name: str, set_weights: Callable, run_relax: Callable, operators: Callable
) -> None:
    shape, layers, expected = CASES[name]
    model = set_weights(keras.Sequential([keras.Input(shape), *layers]))
    check_model(model)

    module = to_relax(model)

    assert " ".join(operators(module)) == expected.strip()
    assert _max_error(module, model, run_relax) < 1e-5


@pytest.mark.parametrize("approximate", [False, True])
def test_both_forms_of_gelu(approximate: bool, run_relax: Callable) -> None:
    image = keras.Input((7,))
    model = keras.Model(image, keras.ops.gelu(image * 2.0, approximate=approximate))
    assert _max_error(to_relax(model), model, run_relax) < 1e-6


@pytest.fixture
def branched(set_weights: Callable) -> Any:
    image = keras.Input((6, 6, 4), name="image")
    left = L.Conv2D(4, 1, name="left")(image)
    right = L.Conv2D(4, 3, padding="same", name="right")(image)
    x = L.BatchNormalization(name="norm")(L.Add(name="sum")([left, right, image]))
    gate = L.Dense(4, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Concatenate(name="both")([L.Multiply(name="gated")([x, gate]), left])
    x = L.Concatenate(axis=1)([x, x])
    return set_weights(keras.Model(image, L.Add(name="twice")([x, x])))


def test_a_graph_with_branches(branched: Any, run_relax: Callable, operators: Callable) -> None:
    module = to_relax(branched)
    assert " ".join(operators(module)) == (
        "nn.conv2d add nn.conv2d add add add multiply add mean matmul add sigmoid multiply concat concat add"
    )
    assert _max_error(module, branched, run_relax) < 1e-5


def test_the_output_of_a_layer_is_named_after_it(branched: Any) -> None:
    names = [b.var.name for block in to_relax(branched)["main"].body.blocks for b in block.bindings]
    assert {"left", "right", "sum", "norm", "gate", "gated", "both", "twice"} <= set(names)


def test_nested_models_are_opened(set_weights: Callable, run_relax: Callable) -> None:
    inner = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(6)])
    model = keras.Sequential([keras.Input((9, 9, 3)), inner, L.GlobalAveragePooling2D(), L.Dense(2)])
    set_weights(model)
    assert _max_error(to_relax(model), model, run_relax) < 1e-5


def test_a_norm_is_not_folded_into_a_layer_that_others_read(
    set_weights: Callable, run_relax: Callable, operators: Callable
) -> None:
    image = keras.Input((5, 5, 3))
    x = L.Conv2D(4, 1)(image)
    model = set_weights(keras.Model(image, L.Add()([L.BatchNormalization()(x), x])))
    module = to_relax(model)
    assert operators(module) == ["nn.conv2d", "add", "multiply", "add", "add"]
    assert _max_error(module, model, run_relax) < 1e-5


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_layers_of_equal_weights_are_kept(value: float, weight_ops: Callable) -> None:
    layers = [L.Conv2D(2, 1), L.DepthwiseConv2D(1), L.Flatten(), L.Dense(3), L.Reshape((3, 1)), L.Dense(2), L.Dense(1)]
    model = keras.Sequential([keras.Input((2, 2, 3)), *layers])
    for weight in model.weights:
        weight.assign(np.full(weight.shape, value))
    assert [op.rows.shape[0] for op in weight_ops(to_relax(model))] == [2, 2, 3, 2, 1]


def test_the_weights_of_the_model_are_not_changed(set_weights: Callable) -> None:
    model = set_weights(keras.Sequential([keras.Input((5, 5, 3)), L.Conv2D(4, 3), L.BatchNormalization()]))
    before = [weight.numpy() for weight in model.weights]
    to_relax(model)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_weights_keep_their_keras_values(set_weights: Callable, weight_ops: Callable) -> None:
    # TFLite alone would fold the rescaling into the first layer and the first bias into the second.
    layers = [L.Rescaling(0.5, offset=1.0), L.Flatten(), L.Dense(4, name="a"), L.Dense(3, name="b")]
    model = set_weights(keras.Sequential([keras.Input((2, 2, 1)), *layers]))
    for op, name in zip(weight_ops(to_relax(model)), "ab", strict=True):
        layer = model.get_layer(name)
        np.testing.assert_array_equal(op.rows, np.column_stack([np.asarray(layer.kernel).T, np.asarray(layer.bias)]))


def test_nothing_is_printed(branched: Any, capfd: pytest.CaptureFixture[str]) -> None:
    to_relax(branched)
    assert capfd.readouterr() == ("", "")


def test_a_failing_converter_becomes_one_line(
    branched: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> bytes:
        print("chatter")
        raise RuntimeError("conversion stopped\n<unknown>:0: error: failed to legalise 'tf.Foo'\n  see the log")

    monkeypatch.setattr(tflite_import, "to_tflite", fail)
    with pytest.raises(InputError) as error:
        to_relax(branched)
    assert str(error.value).endswith("received: <unknown>:0: error: failed to legalise 'tf.Foo'")
    assert branched.name in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")
