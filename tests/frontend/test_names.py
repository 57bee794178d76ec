# SPDX-License-Identifier: Apache-2.0
"""Every imported operator gets the name of its Keras layer, and the table of layers says what Keras says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.frontend.keras_model import check_model
from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.loaders import load_keras
from tt_tflm.frontend.names import WeightOp, name_layers, weight_layers
from tt_tflm.frontend.quiet import import_keras
from tt_tflm.frontend.tflite_import import to_relax

keras = import_keras()
L = keras.layers

# stem of the file -> table of layers
MODELS = {
    "mcunet-5fps_backbone": "mcunet-5fps",
    "mcunet-5fps_imagenet1000": "mcunet-5fps",
    "mcunet-5fps_metatrained_backbone": "mcunet-5fps",
    "mbv2-w0.35_backbone": "mbv2-w0.35",
    "mbv2-w0.35_imagenet1000": "mbv2-w0.35",
    "proxyless-w0.3_backbone": "proxyless-w0.3",
    "proxyless-w0.3_imagenet1000": "proxyless-w0.3",
}


@pytest.fixture
def all_kinds(set_weights: Callable) -> Any:
    image = keras.Input((9, 9, 1), name="image")
    x = L.DepthwiseConv2D(3, depth_multiplier=4, name="one_channel")(image)
    x = L.BatchNormalization()(x)
    x = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="many")(x)
    x = L.Conv2D(6, 1, strides=2, padding="same", use_bias=False, name="point")(x)
    x = L.BatchNormalization()(x)
    x = L.SeparableConv2D(5, 3, padding="same", name="both")(x)
    x = L.Conv2D(3, (2, 3), activation="relu", name="full")(x)
    x = L.Reshape((-1, 3))(x)
    x = L.Conv1D(4, 2, use_bias=False, name="line")(x)
    x = L.Dense(2, name="steps")(x)
    x = L.Dense(3, use_bias=False, name="head")(L.Flatten()(x))
    return set_weights(keras.Model(image, x))


def test_the_table_of_every_kind(all_kinds: Any, weight_ops: Callable) -> None:
    layers = name_layers(all_kinds, weight_ops(to_relax(all_kinds)))
    assert layers == weight_layers(all_kinds)
    assert layers == [
        Layer("one_channel", "depthwise", (3, 3, 1, 4), 4, 9, True, (9, 9, 1), (7, 7, 4), 49 * 4 * 9),
        Layer("many", "depthwise", (3, 3, 4, 1), 4, 9, False, (7, 7, 4), (7, 7, 4), 49 * 4 * 9),
        Layer("point", "pointwise", (1, 1, 4, 6), 6, 4, True, (7, 7, 4), (4, 4, 6), 16 * 6 * 4),
        Layer("both/depthwise", "depthwise", (3, 3, 6, 1), 6, 9, False, (4, 4, 6), (4, 4, 6), 16 * 6 * 9),
        Layer("both/pointwise", "pointwise", (1, 1, 6, 5), 5, 6, True, (4, 4, 6), (4, 4, 5), 16 * 5 * 6),
        Layer("full", "conv2d", (2, 3, 5, 3), 3, 30, True, (4, 4, 5), (3, 2, 3), 6 * 3 * 30),
        Layer("line", "conv1d", (2, 3, 4), 4, 6, False, (6, 3), (5, 4), 5 * 4 * 6),
        Layer("steps", "dense", (4, 2), 2, 4, True, (5, 4), (5, 2), 5 * 2 * 4),
        Layer("head", "dense", (10, 3), 3, 10, False, (10,), (3,), 30),
    ]


def test_rows_are_the_folded_kernels(all_kinds: Any, weight_ops: Callable) -> None:
    ops = weight_ops(to_relax(all_kinds))
    by_name = {layer.name: op for layer, op in zip(weight_layers(all_kinds), ops, strict=True)}
    norm = all_kinds.layers[[layer.name for layer in all_kinds.layers].index("point") + 1]
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    shift = np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale
    kernel = np.asarray(all_kinds.get_layer("point").kernel)[0, 0] * scale
    np.testing.assert_allclose(by_name["point"].rows, np.column_stack([kernel.T, shift]), rtol=1e-5)
    np.testing.assert_array_equal(by_name["head"].rows[:, -1], 0)


def test_operators_are_found_in_any_order(all_kinds: Any, weight_ops: Callable) -> None:
    ops = weight_ops(to_relax(all_kinds))
    assert name_layers(all_kinds, ops[::-1]) == weight_layers(all_kinds)[::-1]


def test_equal_weights_are_told_apart_by_order(weight_ops: Callable) -> None:
    image = keras.Input((4, 4, 3))
    a = L.ReLU()(L.Conv2D(3, 1, name="a")(image))
    b = L.Conv2D(3, 1, name="b")(L.Dropout(0.1)(image))
    model = keras.Model(image, L.Conv2D(3, 1, name="c")(L.Add()([L.Conv2D(3, 1, name="d")(b), a])))
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    layers = name_layers(model, weight_ops(to_relax(model)))
    assert layers == weight_layers(model)
    assert [layer.name for layer in layers][-1] == "c"


def test_an_operator_of_no_layer_is_refused(all_kinds: Any, weight_ops: Callable) -> None:
    ops = weight_ops(to_relax(all_kinds))
    ops[2] = WeightOp(ops[2].kind, ops[2].rows + 1)
    with pytest.raises(UnsupportedLayerError, match=r"received operator 2 \(conv2d, rows \(6, 5\)\).*point"):
        name_layers(all_kinds, ops)


def test_a_layer_without_operator_is_refused(all_kinds: Any, weight_ops: Callable) -> None:
    ops = weight_ops(to_relax(all_kinds))
    with pytest.raises(UnsupportedLayerError, match="received none for: both/pointwise"):
        name_layers(all_kinds, ops[:4] + ops[5:])


def test_names_that_nested_models_share_are_qualified(set_weights: Callable, weight_ops: Callable) -> None:
    def block(name: str) -> Any:
        return keras.Sequential([keras.Input((4, 4, 3)), L.Conv2D(3, 1, name="conv")], name=name)

    image = keras.Input((4, 4, 3))
    model = set_weights(keras.Model(image, L.Dense(2, name="head")(block("second")(block("first")(image)))))
    layers = name_layers(model, weight_ops(to_relax(model)))
    assert [layer.name for layer in layers] == ["first/conv", "second/conv", "head"]


@pytest.mark.parametrize("stem", MODELS)
def test_the_shipped_models(stem: str, data_folder: Path, weight_ops: Callable, run_relax: Callable) -> None:
    model = load_keras(data_folder / "models" / f"{stem}.keras")
    check_model(model)
    module = to_relax(model)
    layers = {layer.name: layer for layer in name_layers(model, weight_ops(module))}
    table = json.loads((data_folder / "models" / f"{MODELS[stem]}_layers.json").read_text())["layers"]
    rows = [row for row in table if "weights" in row and (row["name"] != "classifier" or "imagenet" in stem)]

    assert list(layers) == [row["name"] for row in rows]
    for row in rows:
        layer = layers[row["name"]]
        assert layer.kind == {"conv": "conv2d"}.get(row["op"], row["op"])
        assert (layer.forward_macs, layer.parameters) == (row["macs"], row["params"])
        assert layer.output_shape == tuple(row["out_shape"])[-len(layer.output_shape) :]
        # The Keras models pad in a layer of its own before a stride, the table inside the convolution.
        padding = 2 * row["pad"] if len(row["in_shape"]) == 3 and layer.input_shape[0] != row["in_shape"][0] else 0
        height, width, channels = row["in_shape"]
        expected = (height + padding, width + padding, channels)
        assert layer.input_shape == expected[-len(layer.input_shape) :]

    image = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3)).astype(np.float32)
    expected = np.asarray(model(image))
    assert np.max(np.abs(run_relax(module, image) - expected)) <= 1e-4 * np.max(np.abs(expected))
