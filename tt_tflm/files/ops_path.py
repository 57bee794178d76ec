# SPDX-License-Identifier: Apache-2.0
"""Where the C runtime lies: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path

from tt_tflm.errors import ToolchainError

_PACKAGE = Path(__file__).resolve().parents[1]


def ops_path() -> Path:
    """Folder of the C runtime: include/, src/ and sim/.

    Raises:
        ToolchainError: the installation lacks it.
    """
    for folder in (_PACKAGE / "ops", _PACKAGE.parent / "ops"):
        if (folder / "include" / "tt_status.h").is_file():
            return folder
    raise ToolchainError(
        f"expected the C runtime in {_PACKAGE / 'ops'}, received no such folder: install tt-tflm again"
    )
