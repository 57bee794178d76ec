# SPDX-License-Identifier: Apache-2.0
"""Float models of TensorFlow Lite: rebuilt in Keras they compute the same, under the names of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import model_specimens

import tt_tflm
from tt_tflm.errors import InputError, UnsupportedLayerError
from tt_tflm.frontend.loaders import load_model, load_tflite
from tt_tflm.frontend.quiet import import_tensorflow, silence


def _image(layers: Any, keras: Any) -> Any:
    image = keras.Input((12, 12, 4))
    x = layers.ZeroPadding2D(((1, 0), (0, 1)))(image)
    x = layers.Conv2D(8, 3, strides=2, activation="relu6")(x)
    y = layers.Activation("hard_swish")(layers.Conv2D(8, 3, padding="same", groups=2)(x))
    x = layers.Add()([x, layers.PReLU(shared_axes=[1, 2])(y)])
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
    gate = layers.Conv2D(16, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, gate])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(4, 1, activation="tanh")(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def _signal(layers: Any, keras: Any) -> Any:
    signal = keras.Input(batch_shape=(1, 16, 3))
    x = layers.Conv1D(4, 3, activation="relu")(signal)
    x = layers.Permute((2, 1))(layers.Activation("elu")(layers.Dense(5)(x)))
    return keras.Model(signal, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _lite(tf: Any, model: Any, path: Path, configure: Callable[[Any], None] = lambda converter: None) -> Path:
    with silence():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        configure(converter)
        path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module")
def tf() -> Iterator[Any]:
    yield import_tensorflow()


def _half(converter: Any) -> None:
    tf = import_tensorflow()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


@pytest.mark.parametrize(("make", "configure"), [(_image, _half), (_signal, lambda converter: None)])
def test_the_model_computes_what_tensorflow_lite_does(
    make: Callable[..., Any], configure: Callable[[Any], None], tf: Any, keras: Any, set_weights: Any, tmp_path: Path
) -> None:
    path = _lite(tf, set_weights(make(keras.layers, keras)), tmp_path / "m.tflite", configure)
    loaded = load_model(path)
    with silence():
        interpreter = tf.lite.Interpreter(str(path))
        interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.random.default_rng(0).normal(size=source["shape"]).astype(np.float32)
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    expected = interpreter.get_tensor(target["index"])
    np.testing.assert_allclose(loaded.model(x, training=False), expected, rtol=1e-5, atol=1e-5)
    assert loaded.loss is None


def test_layers_are_named_after_tensors_and_train(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(model_specimens.tflite_model())
    converter = tt_tflm.TrainableConverter.from_tflite(tmp_path / "m.tflite")
    assert [layer.name for layer in converter.layers] == ["a_conv", "scores_0"]
    converter.loss = tt_tflm.SoftmaxLoss()
    converter.plan = tt_tflm.UpdatePlan({"a_conv": [1], "scores_0": "all"})
    assert converter.convert().report["layers"]


def test_quantised_models_are_refused(tf: Any, keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(2)])

    def whole_numbers(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.ones((1, 64), np.float32)] for _ in range(2))

    with pytest.raises(InputError, match=r"expected a float model .* received a quantised one \(tensor '.*' in int8\)"):
        load_tflite(_lite(tf, model, tmp_path / "m.tflite", whole_numbers))


def test_other_operators_are_refused_by_name(tf: Any, keras: Any, tmp_path: Path) -> None:
    values = keras.Input((4,))
    path = _lite(tf, keras.Model(values, keras.ops.cumsum(values, axis=1)), tmp_path / "m.tflite")
    with pytest.raises(
        UnsupportedLayerError, match=r"operator '.*' \(CUMSUM\): expected one of ADD, .*received CUMSUM"
    ):
        load_tflite(path)
