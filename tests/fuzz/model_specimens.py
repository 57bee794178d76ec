# SPDX-License-Identifier: Apache-2.0
"""One small model as Keras 2 saved it: in a `.keras` file, whole in HDF5, and in the files of a SavedModel."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from tt_tflm.tflite.writer import TfliteWriter

_LAYERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("InputLayer", {"batch_input_shape": [None, 8, 8, 3], "dtype": "float32", "sparse": False, "ragged": False}),
    (
        "DepthwiseConv2D",
        {"dtype": "float32", "kernel_size": [3, 3], "padding": "same", "groups": 1, "use_bias": True,
         "depthwise_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}},
    ),
    ("BatchNormalization", {"dtype": "float32", "axis": [3], "momentum": 0.99, "epsilon": 0.001}),
    ("LeakyReLU", {"dtype": "float32", "alpha": 0.1}),
    ("GlobalAveragePooling2D", {"dtype": "float32", "data_format": "channels_last"}),
    (
        "Dense",
        {"dtype": "float32", "units": 4, "activation": "softmax",
         "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}},
    ),
)  # fmt: skip
_WEIGHTS = {
    "DepthwiseConv2D": {"depthwise_kernel": (3, 3, 3, 1), "bias": (3,)},
    "BatchNormalization": {"gamma": (3,), "beta": (3,), "moving_mean": (3,), "moving_variance": (3,)},
    "Dense": {"kernel": (3, 4), "bias": (4,)},
}
TRAINING = {"loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": False}}}


def config(**more: Any) -> dict[str, Any]:
    """Of a Functional model; `more` goes into each layer, as Keras 2 does in `.keras` files."""
    layers = []
    for kind, options in _LAYERS:
        inputs = [[[layers[-1]["name"], 0, 0, {}]]] if layers else []
        name = kind.lower()
        layers.append(
            {"class_name": kind, "config": {"name": name, **options}, "name": name, "inbound_nodes": inputs, **more}
        )
    ends = {"input_layers": [["inputlayer", 0, 0]], "output_layers": [["dense", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "small", "trainable": True, "layers": layers, **ends}}


def weights() -> dict[str, dict[str, np.ndarray]]:
    """Of each layer that has some, in their order."""
    numbers = np.random.default_rng(2)
    return {
        kind.lower(): {name: numbers.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}
        for kind, shapes in _WEIGHTS.items()
    }


def keras_2_file(changed: Any = None) -> bytes:
    import h5py

    content = io.BytesIO()
    snake = {"depthwiseconv2d": "depthwise_conv2d", "batchnormalization": "batch_normalization", "dense": "dense"}
    with h5py.File(content, "w") as file:
        for layer, values in weights().items():
            for i, value in enumerate(values.values()):
                file[f"layers/{snake[layer]}/vars/{i}"] = value
    stream = io.BytesIO()
    whole = {**config(module="keras.layers", registered_name=None), "compile_config": TRAINING}
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(whole if changed is None else changed))
        archive.writestr("model.weights.h5", content.getvalue())
    return stream.getvalue()


def hdf5_model(changed: Any = None) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["keras_version"] = b"2.4.0"
        file.attrs["model_config"] = json.dumps(config() if changed is None else changed)
        file.attrs["training_config"] = json.dumps(TRAINING)
        top = file.create_group("model_weights")
        layers = [kind.lower() for kind, _ in _LAYERS]
        top.attrs["layer_names"] = [name.encode() for name in layers]
        for layer in layers:
            group, values = top.create_group(layer), weights().get(layer, {})
            names = [f"{layer}/{name}:0".encode() for name in values]
            group.attrs["weight_names"] = names
            for name, value in zip(names, values.values(), strict=True):
                group[name.decode()] = value
    return stream.getvalue()


def saved_model(changed: Any = None) -> dict[str, bytes]:
    """The files of the folder, by their paths."""
    metadata = json.dumps({**(config() if changed is None else changed), "training_config": TRAINING})
    root = _text(3, "root") + _text(4, "_tf_keras_network") + _text(5, metadata)
    index, data = _checkpoint()
    return {
        "keras_metadata.pb": _message(1, root),
        "saved_model.pb": _number(1, 1) + _message(2, b""),
        "variables/variables.index": index,
        "variables/variables.data-00000-of-00001": data,
    }


def old_saved_model() -> dict[str, bytes]:
    """As TensorFlow before 2.5 has it: without keras_metadata.pb."""
    files = saved_model()
    metadata = json.dumps({**config(), "training_config": TRAINING})
    user = _text(1, "_tf_keras_network") + _text(3, metadata)
    objects = _message(1, _message(4, user))
    del files["keras_metadata.pb"]
    return {**files, "saved_model.pb": _number(1, 1) + _message(2, _message(7, objects))}


def tflite_model() -> bytes:
    """A convolution and a dense layer, as TensorFlow Lite has them."""
    numbers = np.random.default_rng(3)
    writer = TfliteWriter()

    def constant(name: str, *shape: int) -> int:
        return writer.add_tensor(name, shape, "float32", numbers.normal(size=shape).astype(np.float32))

    image = writer.add_tensor("image", (1, 4, 4, 2), "float32")
    inner = writer.add_tensor("a/conv;a/bias", (1, 4, 4, 3), "float32")
    means = writer.add_tensor("a/mean", (1, 3), "float32")
    scores = writer.add_tensor("scores:0", (1, 2), "float32")
    axes = writer.add_tensor("axes", (2,), "int32", np.array([1, 2], np.int32))
    writer.add_builtin(
        "CONV_2D", [image, constant("k", 3, 3, 3, 2), constant("b", 3)], [inner], "Conv2DOptions",
        Padding=0, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=1,
    )  # fmt: skip
    writer.add_builtin("MEAN", [inner, axes], [means], "ReducerOptions", KeepDims=False)
    writer.add_builtin("FULLY_CONNECTED", [means, constant("w", 2, 3), None], [scores], "FullyConnectedOptions")
    return writer.finish([image], [scores])


def _checkpoint() -> tuple[bytes, bytes]:
    entries: dict[str, bytes] = {}
    data = b""
    values = [(f"{layer}/{name}", value) for layer, named in weights().items() for name, value in named.items()]
    for name, value in values:
        shape = b"".join(_message(2, _number(1, size)) for size in value.shape)
        place = _number(4, len(data)) + _number(5, value.nbytes)
        entries[f"{name}/.ATTRIBUTES/VARIABLE_VALUE"] = _number(1, 1) + _message(2, shape) + place
        data += value.tobytes()
    listed = b"".join(_message(1, _number(1, 2 + i) + _text(2, str(i))) for i in range(len(values)))
    nodes = [_message(1, _number(1, 1) + _text(2, "variables")), listed]
    for name, _ in values:
        stored = _text(1, "VARIABLE_VALUE") + _text(2, name) + _text(3, f"{name}/.ATTRIBUTES/VARIABLE_VALUE")
        nodes.append(_message(2, stored))
    graph = b"".join(_message(1, node) for node in nodes)
    text = _varint(len(graph)) + bytes(4) + graph
    place = _number(4, len(data)) + _number(5, len(text))
    entries["_CHECKPOINTABLE_OBJECT_GRAPH"] = _number(1, 7) + _message(2, b"") + place
    return _table({"": _number(1, 1), **entries}), data + text


def _table(entries: dict[str, bytes]) -> bytes:
    """A sorted string table of one block."""
    block, before = b"", b""
    for key, value in sorted((key.encode(), value) for key, value in entries.items()):
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        block += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    end = bytes(4) + (1).to_bytes(4, "little")
    first = block + end
    handle = _varint(0) + _varint(len(first))
    meta_at = len(first) + 5
    index = _varint(0) + _varint(len(before)) + _varint(len(handle)) + before + handle + end
    footer = _varint(meta_at) + _varint(len(end)) + _varint(meta_at + len(end) + 5) + _varint(len(index))
    return first + bytes(5) + end + bytes(5) + index + bytes(5) + footer.ljust(40, b"\0") + _MAGIC


_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, content: str) -> bytes:
    return _message(field, content.encode())
