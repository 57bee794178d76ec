# SPDX-License-Identifier: Apache-2.0
"""JSON reports on disk: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tt_tflm.errors import InputError


def check_writable(path: Path) -> None:
    """Refuses a path that cannot become a report, before the work that would fill it is done.

    Raises:
        InputError: the path is a folder, or lies in no folder.
    """
    if path.is_dir():
        raise InputError(f"expected a file to write the report to, received {path}, which is a folder")
    if not path.parent.is_dir():
        raise InputError(f"expected a report in an existing folder, received {path}: create {path.parent} first")


def write_json(path: Path, content: Any) -> None:
    """Writes a report; a reader meets the old file or the new one, never half of one.

    Raises:
        InputError: the file cannot be written.
    """
    check_writable(path)
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise InputError(f"expected a folder that can be written, received {path.parent}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"expected a file that can be written, received {path}: {error.strerror}") from error
