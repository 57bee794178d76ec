# SPDX-License-Identifier: Apache-2.0
"""Folders that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tt_tflm.errors import InputError


def check_new_folder(folder: Path) -> None:
    """Refuses what `new_folder` will, before the work that would fill the folder is done.

    Raises:
        InputError: something is there, or the path is none.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            kind = "a folder that is not empty" if folder.is_dir() else "a file"
            raise InputError(f"expected an output folder that is empty or does not exist, received '{folder}', {kind}")
    except OSError as error:
        raise InputError(f"expected an output folder, received '{folder}': {error.strerror}") from None


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Gives a folder to fill, which becomes ``folder`` when the block ends; on any error nothing is left behind.

    Raises:
        InputError: the folder exists and is not empty, or it cannot be written.
    """
    target = Path(folder)
    check_new_folder(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            draft = Path(scratch) / "draft"
            draft.mkdir()
            yield draft
            if target.exists():
                target.rmdir()
            draft.rename(target)
    except OSError as error:
        raise InputError(f"expected an output folder that can be written, received '{target}': {error}") from None
