# SPDX-License-Identifier: Apache-2.0
"""What of a Zephyr module does not depend on the build."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tt_tflm.devices import DeviceProfile, get_profile
from tt_tflm.export.render import rendered

_FIXED = Path(__file__).parent / "fixed"
_BOARDS = "boards/"
_STAND_IN = "cortex-m4"

ZEPHYR_PLATFORMS = ("native_sim", "mps3/corstone300/an547", "mps2/an521/cpu0")
"""Under the names of Zephyr's current versions: earlier ones pass over names that they do not know."""
ZEPHYR_BYTES = 16 * 1024
"""RAM that kernel, drivers and their stacks take in a sample."""


def zephyr_flags(profile: DeviceProfile, *, kernel: bool) -> tuple[str, ...]:
    """Flags of the sources for a target. Zephyr says which core and which language standard.

    A build for the host is exported to be tried on a microcontroller: its kernels are compiled as those of one.
    """
    used = get_profile(_STAND_IN) if profile.is_host else profile
    flags = used.kernel_flags if kernel else used.base_flags
    return tuple(flag for flag in flags if not flag.startswith("-std="))


def zephyr_parts(applications: Iterable[str]) -> dict[str, str]:
    """Storage and Kconfig, and overlays of emulated boards for each application: path in the module -> text."""
    parts = rendered(_FIXED, {})
    overlays = {name: text for name, text in parts.items() if name.startswith(_BOARDS)}
    files = {name: text for name, text in parts.items() if name not in overlays}
    return files | {f"{folder}/{name}": text for folder in applications for name, text in overlays.items()}
