# SPDX-License-Identifier: Apache-2.0
"""The state of a training run in one file: whole or not at all, however the process ends."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tt_tflm.errors import InputError

if TYPE_CHECKING:
    import keras

_FORMAT = 1
_ABOUT = "about"


def save_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Writes arrays and what goes with them (JSON); a reader meets the old file or the new one.

    Raises:
        InputError: the file cannot be written, for example because the disk is full.
    """
    text = json.dumps({"format": _FORMAT, **about})
    content: dict[str, Any] = {**arrays, _ABOUT: np.frombuffer(text.encode(), np.uint8)}
    write_whole(path, lambda file: np.savez(file, **content))


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What ``save_checkpoint`` wrote.

    Raises:
        InputError: the file is none of that.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop(_ABOUT).tobytes().decode())
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"expected a checkpoint of meta-training at {path}, received {error}: remove it") from None
    if about.get("format") != _FORMAT:
        raise InputError(f"checkpoint {path}: expected format {_FORMAT}, received {about.get('format')!r}: remove it")
    return arrays, about


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that it is the old or the new one at any moment.

    Raises:
        InputError: it cannot be written.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            # Renamed before its content is on the disk, a file can be empty after a cut of power.
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise InputError(f"expected a file that can be written, received {path}: {error.strerror or error}") from error


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a .keras file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="tt-tflm-model-") as folder:
        draft = Path(folder) / "model.keras"
        try:
            model.save(draft)
            content = draft.read_bytes()
        except OSError as error:
            raise InputError(f"expected room for a model in {folder}, received: {error.strerror or error}") from error
    write_whole(path, lambda file: file.write(content))


def clear_unfinished(path: Path) -> None:
    """Removes what processes that were killed in the middle of ``write_whole`` have left beside the file."""
    for left in path.parent.glob(f".{path.name}-*"):
        with suppress(OSError):
            left.unlink()
