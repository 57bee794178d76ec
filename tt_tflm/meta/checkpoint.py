# SPDX-License-Identifier: Apache-2.0
"""The state of a training run in one file: whole or not at all, however the process ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.files.json_input import parse_json
from tt_tflm.files.npz_arrays import read_arrays
from tt_tflm.files.output import write_whole

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
        arrays = read_arrays(path, "checkpoint")
        if _ABOUT not in arrays:
            raise InputError(f"expected the array {_ABOUT}, received none")
        about = parse_json(arrays.pop(_ABOUT).tobytes(), f"array {_ABOUT}")
    except InputError as error:
        raise InputError(
            f"expected a checkpoint of meta-training at {path}, received another: {error}: remove it"
        ) from None
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        about = about if isinstance(about, dict) else {}
        raise InputError(f"checkpoint {path}: expected format {_FORMAT}, received {about.get('format')!r}: remove it")
    return arrays, about


def clear_unfinished(path: Path) -> None:
    """Removes what processes that were killed in the middle of ``write_whole`` have left beside the file."""
    for left in path.parent.glob(f".{path.name}-*"):
        with suppress(OSError):
            left.unlink()
