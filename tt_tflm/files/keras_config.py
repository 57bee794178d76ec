# SPDX-License-Identifier: Apache-2.0
"""A model's configuration as Keras writes it, before Keras makes anything of it, and what else a file of one holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.damage import told
from tt_tflm.files.limits import JSON_BYTES
from tt_tflm.files.nesting import check_nesting
from tt_tflm.files.schema import checked


@dataclass(frozen=True)
class KerasConfig:
    """What a configuration holds at least: a Keras object in its serialised form."""

    class_name: str
    config: dict[str, Any] | list[Any]


@dataclass(frozen=True)
class StoredWeights:
    """Weights in HDF5 that Keras may read.

    Attributes:
        content: of the file.
        suffix: by which Keras tells its layout: ``.weights.h5``, or ``.h5`` for that of whole models.
    """

    content: bytes
    suffix: str


@dataclass(frozen=True)
class ModelParts:
    """What a file of a model holds, whatever its format.

    Attributes:
        config: the model in its serialised form; its numbers are finite.
        training: what it was compiled with, as `config` has it; None where it was not.
        keras: major version of the Keras that wrote it.
        elements: numbers that its weights are.
        weights: as they are stored, or in the order in which Keras 2 lists the weights of a model.
    """

    config: dict[str, Any]
    training: dict[str, Any] | None
    keras: int
    elements: int
    weights: StoredWeights | list[np.ndarray]

    def objects(self) -> Iterator[tuple[str, str]]:
        """As `objects_in`, of its configuration."""
        return objects_in(self.config)


def objects_in(config: Any) -> Iterator[tuple[str, str]]:
    """Class and name of every Keras object in a configuration; "?" where it has no name."""
    for value in _walk(config):
        if isinstance(value, dict) and isinstance(value.get("class_name"), str):
            inner = value.get("config")
            yield value["class_name"], str(inner.get("name", "?") if isinstance(inner, dict) else "?")


def parse_config(data: bytes | str, where: str) -> dict[str, Any]:
    """The configuration of a model in JSON.

    Args:
        data: the JSON text.
        where: begins every error.

    Raises:
        InputError: it is too large or too deep, no JSON, no Keras object, or has numbers or names that cannot be.
    """
    config = parse_values(data, where)
    checked(config, KerasConfig, where)
    return config


def parse_values(data: bytes | str, where: str) -> dict[str, Any]:
    """As `parse_config`, for any object."""
    if len(data) > JSON_BYTES:
        raise InputError(f"{where}: expected at most {JSON_BYTES:,} bytes, received {len(data):,}")
    # Not by msgspec: Keras writes NaN and infinity, which are no JSON, and the error is to name their place.
    with told(f"{where}: expected JSON"):
        config = json.loads(data)
    check_nesting(config, where)
    if not isinstance(config, dict):
        raise InputError(f"{where}: expected an object, received {type(config).__name__}")
    _check_values(config, where)
    return config


def major_version(text: object) -> int:
    """That of a version of Keras, 2 where it is none: files that do not tell are old."""
    head = str(text).partition(".")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < 5 else 2


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
