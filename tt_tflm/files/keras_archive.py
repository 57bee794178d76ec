# SPDX-License-Identifier: Apache-2.0
"""`.keras` archives from outside: configuration and weights, before Keras makes anything of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.damage import told
from tt_tflm.files.hdf5_weights import count_elements
from tt_tflm.files.limits import ARCHIVE_BYTES, JSON_BYTES
from tt_tflm.files.nesting import check_nesting
from tt_tflm.files.regular_file import open_regular
from tt_tflm.files.schema import checked
from tt_tflm.files.zip_members import open_zip, read_member

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_REMEDY = "save it again with model.save('model.keras')"


@dataclass(frozen=True)
class KerasConfig:
    """What config.json holds at least: a Keras object in its serialised form."""

    class_name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class KerasArchive:
    """A `.keras` file that may be given to Keras.

    Attributes:
        config: content of config.json; its numbers are finite.
        weights: numbers that model.weights.h5 holds.
    """

    config: dict[str, Any]
    weights: int

    def objects(self) -> Iterator[tuple[str, str]]:
        """Class and name of every Keras object in the configuration; "?" where it has no name."""
        for value in _walk(self.config):
            if isinstance(value, dict) and isinstance(value.get("class_name"), str):
                inner = value.get("config")
                yield value["class_name"], str(inner.get("name", "?") if isinstance(inner, dict) else "?")


def read_keras_archive(path: str | os.PathLike[str]) -> KerasArchive:
    """Configuration and size of weights of a `.keras` file.

    Raises:
        InputError: the file is no such archive, is damaged, or declares more than it holds.
    """
    config, weights = read_parts(path)
    return KerasArchive(config, count_elements(weights, f"{path}: expected a complete .keras file"))


def read_parts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes]:
    """Checked configuration, and weights as they lie in the archive; errors as for `read_keras_archive`."""
    expected = f"{path}: expected a complete .keras file"
    with (
        open_regular(path, "a .keras file") as stream,
        open_zip(stream, f"{expected} ({_REMEDY})", ARCHIVE_BYTES) as archive,
    ):
        for name in (_CONFIG, _WEIGHTS):
            if name not in archive.namelist():
                raise InputError(f"{expected}, received one without {name}: {_REMEDY}")
        size = archive.getinfo(_CONFIG).file_size
        if size > JSON_BYTES:
            raise InputError(f"{expected} whose {_CONFIG} has at most {JSON_BYTES:,} bytes, received {size:,}")
        config = _parse(read_member(archive, _CONFIG, expected), f"{path}, {_CONFIG}")
        return config, read_member(archive, _WEIGHTS, expected)


def _parse(data: bytes, where: str) -> dict[str, Any]:
    # Not by msgspec: Keras writes NaN and infinity, which are no JSON, and the error is to name their place.
    with told(f"{where}: expected JSON"):
        config: dict[str, Any] = json.loads(data)
    check_nesting(config, where)
    checked(config, KerasConfig, where)
    _check_values(config, where)
    return config


def _check_values(config: Any, where: str) -> None:
    """Refuses numbers that are not finite, and text that cannot be printed: half of a surrogate pair."""
    for value in _walk(config):
        if not isinstance(value, dict):
            continue
        name = value.get("name")
        if isinstance(name, str) and not name.isprintable():
            raise InputError(f"{where}: expected names of one printable line, received {name!r:.60}")
        for key, inner in value.items():
            for number in inner if isinstance(inner, list) else (inner,):
                if isinstance(number, float) and not math.isfinite(number):
                    owner = value.get("name", "?")
                    raise InputError(
                        f"{where}: layer '{owner}': expected a finite number for {key}, received {number}; "
                        "build the layer without it"
                    )
                _check_text(number, where)
            _check_text(key, where)


def _check_text(value: Any, where: str) -> None:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{where}: expected text in Unicode, received {value!r:.60}: name the layer otherwise"
            ) from None


def _walk(config: Any) -> Iterator[Any]:
    pending = [config]
    while pending:
        value = pending.pop()
        yield value
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
