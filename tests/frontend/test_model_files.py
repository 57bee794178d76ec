# SPDX-License-Identifier: Apache-2.0
"""Files that people have: each comes over with its very weights and its loss, or is named and refused in one line."""

from __future__ import annotations

import copy
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import model_specimens, specimens

import tt_tflm
from tt_tflm.errors import InputError, InputWarning, UnsupportedLayerError
from tt_tflm.frontend.loaders import LoadedModel, adopt, load_keras, load_model
from tt_tflm.frontend.quiet import import_keras, silence

# A SavedModel of a recurrent layer takes ten seconds to write.
SAVED = (("graph", ".keras"), ("graph", ".h5"), ("graph", "_saved"), ("layers", ".keras"), ("layers", ".h5"))


@pytest.fixture(scope="module")
def legacy() -> Any:
    """The package tf_keras, which is Keras 2."""
    import_keras()
    with silence():
        import tf_keras
    return tf_keras


@pytest.fixture(scope="module")
def legacy_models(legacy: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Models of Keras 2 with weights of their own, and the folder that each is saved in."""
    made = {"graph": _graph(legacy), "layers": _layers(legacy)}
    numbers = np.random.default_rng(0)
    saved = {}
    for name, model in made.items():
        for weight in model.weights:
            low = 0.5 if "variance" in weight.name else -0.5
            weight.assign(numbers.uniform(low, low + 1, weight.shape))
        folder = tmp_path_factory.mktemp(name)
        with silence():
            for _, suffix in (case for case in SAVED if case[0] == name):
                model.save(folder / f"m{suffix}")
        saved[name] = model, folder
    return saved


def _graph(legacy: Any) -> Any:
    """Models in the model, one of them called twice, operations, names with a slash, frozen layers."""
    layers = legacy.layers
    image = legacy.Input((6, 6, 2), name="image")
    block = legacy.Sequential([layers.Conv2D(2, 3, padding="same", input_shape=(6, 6, 2)), layers.BatchNormalization()])
    inner = legacy.Input((6, 6, 2))
    head = legacy.Model(inner, layers.LeakyReLU(0.1)(layers.Conv2D(3, 3, name="head/conv")(inner)))
    x = layers.Add()([block(block(image)), image * 0.5 - 1.0])
    x = layers.DepthwiseConv2D(3, padding="same", name="block/depthwise")(x)
    x = 1.0 - x[:, :, :, :2]
    model = legacy.Model(image, head(x))
    block.layers[1].trainable = False
    model.compile("sgd", loss=legacy.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25))
    return model


def _layers(legacy: Any) -> Any:
    layers = legacy.layers
    made = [
        legacy.Input((12, 3)), layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[2.0, 3.0, 4.0]),
        layers.SeparableConv1D(4, 3), layers.PReLU(), layers.LayerNormalization(),
        layers.LSTM(4, return_sequences=True), layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        layers.Dropout(0.5), layers.TimeDistributed(layers.Dense(3)), layers.Flatten(),
        layers.Dense(2, kernel_regularizer="l2"),
    ]  # fmt: skip
    model = legacy.Sequential(made)
    model.compile(legacy.optimizers.legacy.SGD(0.1, decay=0.1), loss="mean_squared_error")
    return model


@pytest.mark.parametrize(("name", "suffix"), [*SAVED, ("graph", None), ("layers", None)])
def test_models_of_keras_2_come_over_as_they_are(
    name: str, suffix: str | None, legacy_models: dict[str, tuple[Any, Path]]
) -> None:
    model, folder = legacy_models[name]
    loaded = adopt(model) if suffix is None else load_model(folder / f"m{suffix}")
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = loaded.model(x, training=False)
    np.testing.assert_allclose(actual, model(x, training=False), rtol=1e-6, atol=1e-6)
    frozen = {layer.name for layer in model._flatten_layers() if not layer.trainable and layer.weights}
    assert {layer.name for layer in loaded.model._flatten_layers() if not layer.trainable and layer.weights} == frozen
    expected = "categorical_crossentropy" if name == "graph" else "mean_squared_error"
    assert loaded.loss is not None and loaded.loss.name == expected
    assert loaded.loss.extras == ({"label_smoothing": 0.25} if name == "graph" else {})


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda layers: layers.Lambda(lambda x: x), "received code"),
        (lambda layers: layers.ThresholdedReLU(), "expected a layer of Keras 3"),
        (lambda layers: type("Dense", (layers.Dense,), {})(3), "one of its own"),
        (lambda layers: layers.Dense(3, activation="hard_sigmoid"), "0.2 x + 0.5"),
    ],
)
def test_what_keras_3_computes_otherwise_or_not_at_all_is_refused(
    layer: Callable[[Any], Any], words: str, legacy: Any
) -> None:
    model = legacy.Sequential([legacy.Input((4,)), layer(legacy.layers)])
    with pytest.raises(UnsupportedLayerError, match=r"layer '\w+' \(\w+\): expected") as refused:
        adopt(model)
    assert words in str(refused.value)


def _load_specimen(form: str, folder: Path) -> LoadedModel:
    if form in ("keras", "hdf5"):
        # Formats are told by content.
        content = model_specimens.keras_2_file() if form == "keras" else model_specimens.hdf5_model()
        (folder / "model").write_bytes(content)
        return load_model(folder / "model")
    files = model_specimens.saved_model() if form == "saved model" else model_specimens.old_saved_model()
    _write(files, folder / "model")
    return load_model(folder / "model")


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("form", ["keras", "hdf5", "saved model", "older saved model"])
def test_every_form_of_a_file_is_the_same_model(form: str, tmp_path: Path) -> None:
    loaded = _load_specimen(form, tmp_path)
    values = [value for layer in model_specimens.weights().values() for value in layer.values()]
    for actual, expected in zip(loaded.model.weights, values, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert str(loaded.loss) == "sparse_categorical_crossentropy(from_logits=False)"
    assert tt_tflm.TrainableConverter.from_keras_file(tmp_path / "model").objective.name == "softmax"


def test_hdf5_files_of_keras_3_come_over_with_their_operations(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((6, 6, 2))
    x = keras.layers.Add()([image, keras.layers.Conv2D(2, 3, padding="same")(image)])
    x = keras.ops.mean(keras.ops.add(x, image), axis=(1, 2)) * 2.0
    model = keras.Model(image, keras.layers.Dense(3)(x))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with silence():
        model.save(tmp_path / "m.h5")
    loaded = load_model(tmp_path / "m.h5")
    sample = np.ones((2, 6, 6, 2), np.float32)
    np.testing.assert_array_equal(loaded.model(sample), model(sample))
    assert str(loaded.loss) == "sparse_categorical_crossentropy(from_logits=True)"


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_other_precisions_are_cast_and_it_is_said_once(policy: str, keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype=policy), layers.Dense(2, dtype="float32")])
    with silence():
        model.save(tmp_path / "m.keras")
        model.save(tmp_path / "m.h5")
    for load in (
        lambda: load_keras(tmp_path / "m.keras"), lambda: load_keras(tmp_path / "m.h5"), lambda: adopt(model).model,
    ):  # fmt: skip
        with pytest.warns(InputWarning, match=f"received some in {policy}: they are cast") as said:
            cast = load()
        assert len(said) == 1
        for actual, expected in zip(cast.weights, model.weights, strict=True):
            np.testing.assert_array_equal(actual, np.asarray(expected).astype(np.float32))
        assert {layer.compute_dtype for layer in cast.layers} == {"float32"}


def _zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return stream.getvalue()


OTHERS = {
    "an ONNX model": b"\x08\x08\x12\x07pytorch",
    "a PyTorch checkpoint": _zip("archive/data.pkl", "archive/version"),
    "a Python pickle": b"\x80\x04\x95",
    "the graph of a SavedModel": b"\x08\x01\x12\x00",
    "an .npz file of arrays": _zip("x.npy"),
    "a safetensors file": (100).to_bytes(8, "little") + b'{"a":',
    "an empty file": b"",
    "another kind": b"\x00" * 64,
    "weights alone": specimens.keras_weights(),
}


@pytest.mark.parametrize("received", OTHERS)
def test_other_formats_are_named(received: str, tmp_path: Path) -> None:
    # The name says something else: it is not what counts.
    (tmp_path / "m.keras").write_bytes(OTHERS[received])
    with pytest.raises(InputError, match=r"expected .* model.*, received .*model\.save\(|give the folder") as refused:
        load_keras(tmp_path / "m.keras")
    assert received in str(refused.value)


def test_a_saved_model_without_a_keras_model_is_refused(keras: Any, tmp_path: Path) -> None:
    with silence():
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).export(tmp_path / "m", verbose=False)
    with pytest.raises(InputError, match=r"metadata of Keras 2, received one without.*model\.save\('model\.keras'\)"):
        load_keras(tmp_path / "m")


def _declared(number: int, **changes: Any) -> dict[str, Any]:
    config = copy.deepcopy(model_specimens.config())
    config["config"]["layers"][number]["config"].update(changes)
    return config


@pytest.mark.parametrize(
    ("form", "config", "words"),
    [
        ("hdf5", _declared(5, units=10**12), "layers have"),
        ("saved model", _declared(5, units=10**12), "layers have"),
        ("saved model", _declared(0, batch_input_shape=[None, 10**9, 10**9, 3]), "expected tensors of at most"),
        ("saved model", _declared(1, groups=3), "received groups = 3"),
        ("saved model", _declared(3, alpha=float("nan")), "expected a finite number for alpha"),
    ],
)
def test_what_is_not_what_it_says_is_refused(form: str, config: dict[str, Any], words: str, tmp_path: Path) -> None:
    if form == "hdf5":
        (tmp_path / "model").write_bytes(model_specimens.hdf5_model(config))
    else:
        _write(model_specimens.saved_model(config), tmp_path / "model")
    with pytest.raises(InputError) as refused:
        load_keras(tmp_path / "model")
    assert words in str(refused.value)


def test_weights_that_are_named_twice_are_refused(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "m.h5"
    path.write_bytes(model_specimens.hdf5_model())
    with h5py.File(path, "a") as file:
        file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0"] * 1000
    with pytest.raises(InputError, match="names the same weights twice"):
        load_keras(path)
