# SPDX-License-Identifier: Apache-2.0
"""Small files that are right, one or more of every kind."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tt_tflm.devices import get_device
from tt_tflm.frontend.layers import Layer
from tt_tflm.state.personalisation import Personalisation, SavedLayer

FINGERPRINT = "0123456789abcdef"
LAYER = Layer("logits", "dense", (4, 3), 3, 4, True, (4,), (3,), 12)

PLAN = {
    "schema_version": 1,
    "fingerprint": FINGERPRINT,
    "strategy": "tinytrain",
    "budget": {"training_memory_bytes": 1024, "ram_bytes": None, "backward_macs": 1000},
    "spent": {"training_memory_bytes": 100, "ram_bytes": 2000, "backward_macs": 12, "updated_parameters": 10},
    "layers": {"logits": {"channels": [0, 2], "bias": True}, "conv": {"channels": "all", "bias": False}},
}

SIMULATION: dict[str, Any] = {
    "schema_version": 1,
    "fingerprint": FINGERPRINT,
    "symbol": "tt_small",
    "input_shape": [4],
    "input_scaling": [1 / 127.5, -1.0],
    "classes": 3,
    "label": "class",
    "label_elements": 1,
    "embedding_elements": 3,
    "loss": "prototype",
    "precision": "float32",
    "mode": "dynamic",
    "backend": "c",
    "tflm": None,
    "prototypes": {"sums_offset": 0, "counts_offset": 36, "temperature": 5.0},
    "adaptable": True,
    "target": "host",
    "arena_bytes": 64,
    "row_pool_bytes": 256,
    "regions_bytes": 256,
    "state_bytes": 200,
    "rows": [{"layer": "logits", "offset": 0, "channels": [0, 2], "stride": 6, "row_length": 4}],
    "copies": 3,
    "learning_rate": 0.001,
    "choice": {
        "candidates": [{"layer": "logits", "channels": 3, "stride": 6, "int8_row_bytes": 0}],
        "potentials_offset": 48,
        "slots_offset": 60,
        "rows_offset": 64,
        "copies": 3,
        "budget": {"training_memory_bytes": None, "ram_bytes": 4096, "backward_macs": None},
        "backward_macs_full": 24,
        "fixed_ram_bytes": 128,
    },
    "layers": [asdict(LAYER)],
}

REPORT: dict[str, Any] = {
    "schema_version": 1,
    "model": "small",
    "fingerprint": FINGERPRINT,
    "target": "cortex-m7",
    "device": get_device("cortex-m7").to_json(),
    "placement": [{"name": "arena", "bytes": 64, "region": "sram"}],
    "precision": "float32",
    "mode": "dynamic",
    "loss": "prototype",
    "optimizer": "adam",
    "arena_bytes": 64,
    "arena_lower_bound_bytes": 64,
    "row_pool_bytes": 256,
    "session_bytes": 80,
    "ram_bytes": 400,
    "input_bytes": 16,
    "flash_bytes": {"code": 1000, "weights": 60},
    "forward_macs": 12,
    "backward_macs": None,
    "backward_macs_full": 24,
    "executed_macs": {"predict": 12, "forward": 12, "backward": None},
    "training_memory_bytes": None,
    "updated_parameters": None,
    "layers": [
        {
            "name": "logits",
            "kind": "dense",
            "parameters": 15,
            "forward_macs": 12,
            "channels_total": 3,
            "channels_trained": 2,
        }
    ],
}


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def as_npz(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def as_image(form: str, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(stream, form)
    return stream.getvalue()


def episode(compressed: bool = False) -> bytes:
    numbers = np.random.default_rng(1)
    return as_npz(
        compressed,
        support_x=numbers.integers(0, 256, (4, 5, 6, 3), np.uint8),
        support_y=np.array([0, 1, 0, 1]),
        query_x=numbers.integers(0, 256, (2, 5, 6, 3), np.uint8),
        query_y=np.array([1, 0], np.uint8),
    )


def data_set() -> bytes:
    x = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), np.uint8)
    return as_npz(x=x, y=np.array([0, 1, 0, 1]), names=np.array(["ant", "bee"]))


def jpeg_set() -> bytes:
    files = [as_image("JPEG"), as_image("PNG", "P"), as_image("GIF", "L")]
    content = np.frombuffer(b"".join(files), np.uint8)
    return as_npz(jpeg=content, offset=np.cumsum([0, *map(len, files)]), y=np.array([0, 1, 1]))


def build_weights() -> bytes:
    return as_npz(rows_0=np.zeros((LAYER.channels, LAYER.stride), np.float32))


def state(sequence: int = 1, prototypes: bool = True) -> bytes:
    rows = np.random.default_rng(sequence).normal(size=(2, 6)).astype(np.float32)
    layers = (SavedLayer(0, (), np.zeros((0, 4), np.float32)), SavedLayer(1, (0, 2), rows))
    sums = np.ones((3, 3), np.float32) if prototypes else None
    counts = np.array([1, 2, 0], np.uint32) if prototypes else None
    return Personalisation(FINGERPRINT, sequence, 40, layers, sums, counts).to_bytes()


def dump() -> bytes:
    return state(1).ljust(512, b"\xff") + state(2, prototypes=False) + b"\xff" * 100


def board_profile() -> bytes:
    import tt_tflm.devices

    return sorted(Path(tt_tflm.devices.__file__).parent.glob("boards/*.toml"))[0].read_bytes()


def episode_rows() -> bytes:
    return as_json({"episodes": [{"support": [[0], [1]], "query": [[2], [3]]}], "seed": 1})


_DTYPE = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
_LAYERS = (
    ("InputLayer", {"batch_shape": [None, 8, 8, 3], "dtype": "float32", "sparse": False, "name": "input_layer"}),
    (
        "Conv2D",
        {"name": "conv", "dtype": _DTYPE, "filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"},
    ),
    ("ReLU", {"name": "relu", "dtype": _DTYPE, "max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}),
    ("GlobalAveragePooling2D", {"name": "pool", "dtype": _DTYPE, "data_format": "channels_last", "keepdims": False}),
    ("Dense", {"name": "logits", "dtype": _DTYPE, "units": 3, "activation": "linear", "use_bias": True}),
)
KERAS_CONFIG: dict[str, Any] = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "small",
        "trainable": True,
        "layers": [
            {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
            for kind, config in _LAYERS
        ],
        "build_input_shape": [None, 8, 8, 3],
    },
    "registered_name": None,
    "build_config": {"input_shape": [None, 8, 8, 3]},
}


def keras_weights() -> bytes:
    """The layout that Keras gives model.weights.h5."""
    import h5py

    numbers = np.random.default_rng(1)
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("vars")
        for layer, shapes in (("conv2d", ((3, 3, 3, 4), (4,))), ("dense", ((4, 3), (3,)))):
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            for i, shape in enumerate(shapes):
                group.create_dataset(str(i), data=numbers.normal(size=shape).astype(np.float32))
        for layer in ("re_lu", "global_average_pooling2d"):
            file.create_group(f"layers/{layer}/vars")
    return stream.getvalue()


def keras_file(config: Any = None, weights: bytes | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-01@12:00:00"}))
        archive.writestr("config.json", json.dumps(KERAS_CONFIG if config is None else config))
        archive.writestr("model.weights.h5", keras_weights() if weights is None else weights)
    return stream.getvalue()
