# SPDX-License-Identifier: Apache-2.0
"""Builds are made and saved once for all tests of a process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .models import build
from .workshop import SavedBuild


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SavedBuild]:
    """Gives the saved build of a recipe by name."""
    root = tmp_path_factory.mktemp("builds")
    made: dict[str, SavedBuild] = {}

    def get(name: str) -> SavedBuild:
        if name not in made:
            folder: Path = root / name
            build(name).save(folder)
            made[name] = SavedBuild(folder)
        return made[name]

    return get
