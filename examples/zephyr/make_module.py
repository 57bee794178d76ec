# SPDX-License-Identifier: Apache-2.0
"""Writes module/ anew: the small model as a Zephyr module."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_model import small_build

from tt_tflm.export.zephyr.module import export_zephyr

MODULE = Path(__file__).parent / "module"

if __name__ == "__main__":
    build = small_build()
    shutil.rmtree(MODULE, ignore_errors=True)
    export_zephyr(build, MODULE)
    print(f"{MODULE}: {sum(path.is_file() for path in MODULE.rglob('*'))} files")
