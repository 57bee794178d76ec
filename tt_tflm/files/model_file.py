# SPDX-License-Identifier: Apache-2.0
"""Files of models, told apart by what is in them and not by their names; those of other kinds are named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tt_tflm.errors import InputError
from tt_tflm.files.hdf5_weights import read_hdf5_model
from tt_tflm.files.keras_archive import read_keras_archive
from tt_tflm.files.keras_config import ModelParts
from tt_tflm.files.limits import ARCHIVE_BYTES
from tt_tflm.files.regular_file import is_folder, open_regular
from tt_tflm.files.saved_model import GRAPH, read_saved_model
from tt_tflm.files.tflite_model import TfliteModel, read_tflite
from tt_tflm.files.zip_members import open_zip

EXPECTED = "a model (.keras, .h5, a SavedModel folder or a float .tflite)"
_HEAD = 512
_KERAS = "save the model that it was made of with model.save('model.keras')"
_REBUILD = "rebuild the model in Keras with these weights, and save it with model.save('model.keras')"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_TFLITE = (4, b"TFL3")  # behind the offset of the root table

# Where a file of another kind begins with what, what it is, and the way out.
_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x08\x01\x12", "the graph of a SavedModel", "give the folder that it lies in"),
    (0, b"\x93NUMPY", "a NumPy array", _REBUILD),
    (0, b"GGUF", "a GGUF model", _REBUILD),
    (0, b"\x80", "a Python pickle, such as a PyTorch checkpoint", _REBUILD),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it"),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"{", "JSON, such as an architecture without weights", "save the whole model with model.save('model.keras')"),
    (8, b'{"', "a safetensors file", _REBUILD),
)
_MEMBERS: tuple[tuple[str, str, str], ...] = (
    ("/data.pkl", "a PyTorch checkpoint", _REBUILD),
    (".npy", "an .npz file of arrays", _REBUILD),
    (GRAPH, "a SavedModel in a zip archive", "unpack it, and give the folder"),
    ("AndroidManifest.xml", "an Android package", _KERAS),
)


def read_model_file(path: str | os.PathLike[str]) -> ModelParts | TfliteModel:
    """What a file of a model holds, or a SavedModel folder.

    Raises:
        InputError: there is no such file, it is of another kind, which the message names, or damaged.
    """
    return reader_of(path)(path)


def reader_of(path: str | os.PathLike[str]) -> Callable[[str | os.PathLike[str]], ModelParts | TfliteModel]:
    """What reads a file, told by its content; errors as for `read_model_file`."""
    folder = Path(path)
    if is_folder(folder):
        if (folder / GRAPH).exists():
            return read_saved_model
        if (folder / "config.json").exists():
            _refuse(path, "a .keras archive that was unpacked", "zip its files, or save the model again")
        _refuse(path, f"a folder without {GRAPH}", "give the file of the model, or the folder of a SavedModel")
    with open_regular(path, EXPECTED) as stream:
        head = stream.read(_HEAD)
        if head.startswith(_HDF5):
            return read_hdf5_model
        if head.startswith(_TFLITE[1], _TFLITE[0]):
            return read_tflite
        if not head.startswith(_ZIP):
            _refuse_other(path, head)
        with open_zip(stream, f"{path}: expected a complete .keras file", ARCHIVE_BYTES) as archive:
            names = archive.namelist()
    if "config.json" not in names:
        for end, received, remedy in _MEMBERS:
            if any(name.endswith(end) for name in names):
                _refuse(path, received, remedy)
    return read_keras_archive


def _refuse_other(path: str | os.PathLike[str], head: bytes) -> None:
    for offset, magic, received, remedy in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            _refuse(path, received, remedy)
    # ONNX: the version of its format, then the producer's name, its version, or the graph.
    if len(head) > 2 and head[0] == 0x08 and 2 < head[1] < 0x40 and head[2] in (0x12, 0x1A, 0x3A, 0x42):
        _refuse(path, "an ONNX model", _KERAS)
    _refuse(path, "an empty file" if not head else "a file of another kind, or a damaged one", _KERAS)


def _refuse(path: str | os.PathLike[str], received: str, remedy: str) -> None:
    raise InputError(f"{path}: expected {EXPECTED}, received {received}; {remedy}")
