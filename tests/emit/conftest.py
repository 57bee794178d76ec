# SPDX-License-Identifier: Apache-2.0
"""Builds are made and saved once for all tests of a process."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .models import build
from .workshop import SANITIZED, SavedBuild


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


@pytest.fixture(scope="session")
def runtime_object(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the object of a runtime source, compiled once: it is the same text in every build."""
    folder, objects = tmp_path_factory.mktemp("runtime"), {}

    def compiled(compiler: str, source: Path, *includes: str, flags: Sequence[str] = SANITIZED) -> Path:
        key = compiler, flags, source.name, source.read_text()
        if key not in objects:
            target = folder / f"{compiler}_{len(objects)}.o"
            subprocess.run([compiler, *flags, *includes, "-c", source, "-o", target], check=True)
            objects[key] = target
        return objects[key]

    return compiled
