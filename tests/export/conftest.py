# SPDX-License-Identifier: Apache-2.0
"""Exports are made once for all tests of a process."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tt_tflm.export.arduino.library import export_arduino

from .arduino_builds import build


@pytest.fixture(scope="session")
def small_net() -> ModuleType:
    """The model of the Zephyr example."""
    example = str(Path(__file__).parents[2] / "examples" / "zephyr")
    sys.path.insert(0, example)
    try:
        import small_model
    finally:
        sys.path.remove(example)
    return small_model


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the unpacked Arduino library of a build by its kind."""
    root = tmp_path_factory.mktemp("libraries")

    def get(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            export_arduino(build(kind), root / f"{kind}.zip")
            with zipfile.ZipFile(root / f"{kind}.zip") as archive:
                archive.extractall(folder)
        return folder / "TinyTrain"

    return get


@pytest.fixture(scope="session")
def library(libraries: Callable[[str], Path]) -> Path:
    """The library of a build that chooses on the board."""
    return libraries("dynamic")
