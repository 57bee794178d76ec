# SPDX-License-Identifier: Apache-2.0
"""`.keras` archives from outside: configuration and weights, before Keras makes anything of them."""

from __future__ import annotations

import os
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.hdf5_weights import count_elements
from tt_tflm.files.keras_config import ModelParts, StoredWeights, major_version, parse_config, parse_values
from tt_tflm.files.limits import ARCHIVE_BYTES, JSON_BYTES
from tt_tflm.files.regular_file import open_regular
from tt_tflm.files.zip_members import open_zip, read_member

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_METADATA = "metadata.json"
_REMEDY = "save it again with model.save('model.keras')"


def read_keras_archive(path: str | os.PathLike[str]) -> ModelParts:
    """What a `.keras` file holds, of Keras 2 or 3.

    Raises:
        InputError: the file is no such archive, is damaged, or declares more than it holds.
    """
    config, weights, version = read_members(path)
    elements = count_elements(weights, f"{path}: expected a complete .keras file")
    compiled = config.get("compile_config")
    training = compiled if isinstance(compiled, dict) else None
    return ModelParts(config, training, version, elements, StoredWeights(weights, ".weights.h5"))


def read_members(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes, int]:
    """Checked configuration, weights as they lie in the archive, major version of Keras; errors as for
    `read_keras_archive`."""
    expected = f"{path}: expected a complete .keras file"
    with (
        open_regular(path, "a .keras file") as stream,
        open_zip(stream, f"{expected} ({_REMEDY})", ARCHIVE_BYTES) as archive,
    ):
        for name in (_CONFIG, _WEIGHTS):
            if name not in archive.namelist():
                raise InputError(f"{expected}, received one without {name}: {_REMEDY}")
        names = [name for name in (_CONFIG, _METADATA) if name in archive.namelist()]
        texts = {}
        for name in names:
            size = archive.getinfo(name).file_size
            if size > JSON_BYTES:
                raise InputError(f"{expected} whose {name} has at most {JSON_BYTES:,} bytes, received {size:,}")
            texts[name] = read_member(archive, name, expected)
        config = parse_config(texts[_CONFIG], f"{path}, {_CONFIG}")
        # Without it, as before there were such files of Keras 2, Keras 3 is told.
        metadata = parse_values(texts[_METADATA], f"{path}, {_METADATA}") if _METADATA in texts else {}
        version = major_version(metadata.get("keras_version", "3"))
        return config, read_member(archive, _WEIGHTS, expected), version
