# SPDX-License-Identifier: Apache-2.0
"""JSON reports: files whole or not at all, pipes, devices and stdout written through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tt_tflm.files import output


def write_json(path: Path, content: Any) -> None:
    """Writes a report as `output.write_whole` does; ``-`` is stdout.

    Raises:
        InputError: the file cannot be written.
    """
    output.check_writable(path, "a report")
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    output.write_whole(path, lambda file: file.write(text.encode()))
