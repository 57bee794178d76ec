# SPDX-License-Identifier: Apache-2.0
"""What tests share: TensorFlow's settings (made before it is imported), and what is skipped for which reason."""

import os
import sys
from pathlib import Path

# oneDNN reorders sums, so that two runs of the oracle would differ in the last bits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# The oracle's modules are imported as `oracle.*` whatever import mode pytest runs in.
sys.path.insert(0, str(Path(__file__).parent))

import shutil

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "data: needs the models and episodes that TT_DATA points at")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing_tools = [tool for tool in ("arm-none-eabi-gcc", "qemu-system-arm") if shutil.which(tool) is None]
    folder = os.environ.get("TT_DATA")
    for item in items:
        if item.get_closest_marker("data") and not folder:
            item.add_marker(pytest.mark.skip(reason="TT_DATA is not set"))
        if item.get_closest_marker("qemu") and missing_tools:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing_tools)}"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of models and episodes, as TT_DATA names it."""
    folder = os.environ.get("TT_DATA")
    if not folder:
        pytest.skip("TT_DATA is not set")
    return Path(folder)
