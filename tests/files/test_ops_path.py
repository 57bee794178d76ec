# SPDX-License-Identifier: Apache-2.0
"""The C runtime is found, and a missing one is told."""

from pathlib import Path

import pytest

from tt_tflm.errors import ToolchainError
from tt_tflm.files import ops_path as module
from tt_tflm.files.ops_path import ops_path


def make_runtime(folder: Path) -> Path:
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "tt_status.h").touch()
    return folder


def test_this_installation_has_the_runtime() -> None:
    for part in ("include", "src", "sim"):
        assert any((ops_path() / part).iterdir())


def test_installed_runtime_comes_before_a_folder_beside_the_package(tmp_path: Path, monkeypatch) -> None:
    package = tmp_path / "tt_tflm"
    monkeypatch.setattr(module, "_PACKAGE", package)
    beside = make_runtime(tmp_path / "ops")
    assert ops_path() == beside
    inside = make_runtime(package / "ops")
    assert ops_path() == inside


def test_no_runtime(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "tt_tflm")
    with pytest.raises(ToolchainError, match=r"expected the C runtime in .* received no such folder"):
        ops_path()
