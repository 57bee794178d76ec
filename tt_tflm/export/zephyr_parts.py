# SPDX-License-Identifier: Apache-2.0
"""What of a Zephyr module does not depend on the build."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tt_tflm.devices.profiles import BASE_FLAGS, CORTEX_M_KERNEL_FLAGS
from tt_tflm.export.render import rendered

_TEMPLATES = Path(__file__).parent / "templates" / "zephyr_parts"
_BOARDS = "boards/"

# Zephyr says which language standard.
ZEPHYR_BASE_FLAGS = tuple(flag for flag in BASE_FLAGS if not flag.startswith("-std="))
ZEPHYR_KERNEL_FLAGS = tuple(flag for flag in CORTEX_M_KERNEL_FLAGS if not flag.startswith("-std="))
ZEPHYR_PLATFORMS = ("native_sim", "mps3/corstone300/an547", "mps2/an521/cpu0")
"""Under the names of Zephyr's current versions: earlier ones pass over names that they do not know."""
ZEPHYR_BYTES = 16 * 1024
"""RAM that kernel, drivers and their stacks take in a sample."""


def zephyr_parts(applications: Iterable[str]) -> dict[str, str]:
    """Storage and Kconfig, and overlays of emulated boards for each application: path in the module -> text."""
    parts = rendered(_TEMPLATES, {})
    overlays = {name: text for name, text in parts.items() if name.startswith(_BOARDS)}
    files = {name: text for name, text in parts.items() if name not in overlays}
    return files | {f"{folder}/{name}": text for folder in applications for name, text in overlays.items()}
