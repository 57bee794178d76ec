# SPDX-License-Identifier: Apache-2.0
"""JSON reports: files whole or not at all, pipes, devices and stdout written through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tt_tflm.files import output


def check_writable(path: Path) -> None:
    """Refuses a path that cannot become a report, before the work that would fill it is done.

    Raises:
        InputError: the path is a folder, or lies in no folder.
    """
    output.check_writable(path, "a report")


def write_json(path: Path, content: Any) -> None:
    """Writes a report as `output.write_whole` does; ``-`` is stdout.

    Raises:
        InputError: the file cannot be written.
    """
    check_writable(path)
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    output.write_whole(path, lambda file: file.write(text.encode()))
