# SPDX-License-Identifier: Apache-2.0
"""Devices by name: this machine, the cores, the boards that come with the package, and profiles of the user's."""

from __future__ import annotations

import functools
from pathlib import Path

from tt_tflm.devices.device import Device, read_device
from tt_tflm.devices.profiles import DeviceProfile
from tt_tflm.errors import InputError

_BOARDS = Path(__file__).parent / "boards"
_CORES = (
    Device("host", "this machine", "host", "double", dsp=False, mve=False),
    Device("cortex-m3", "any Cortex-M3", "cortex-m3", "none", dsp=False, mve=False),
    Device("cortex-m4", "any Cortex-M4 with FPU", "cortex-m4", "single", dsp=True, mve=False),
    Device("cortex-m7", "any Cortex-M7 with FPU", "cortex-m7", "single", dsp=True, mve=False),
    Device("cortex-m33", "any Cortex-M33 with FPU and DSP", "cortex-m33", "single", dsp=True, mve=False),
    Device("cortex-m55", "any Cortex-M55 with FPU and MVE", "cortex-m55", "double", dsp=True, mve=True),
)


@functools.cache
def _catalogue() -> dict[str, Device]:
    boards = (read_device(path) for path in sorted(_BOARDS.glob("*.toml")))
    return {device.name: device for device in (*_CORES, *boards)}


def device_names() -> tuple[str, ...]:
    """Names of all targets: the host, the cores, the boards that come with the package."""
    return tuple(_catalogue())


def devices() -> tuple[Device, ...]:
    """All of them, in the order of `device_names`."""
    return tuple(_catalogue().values())


def get_device(name: str) -> Device:
    """A device.

    Args:
        name: one of `device_names`, or the path of a profile in TOML: whatever ends in ``.toml``.

    Raises:
        InputError: there is none of this name (the message lists those there are), or the profile is malformed.
    """
    if isinstance(name, str) and name.endswith(".toml"):
        return read_device(name)
    try:
        return _catalogue()[name]
    except (KeyError, TypeError):
        names = ", ".join(_catalogue())
        raise InputError(f"expected a target of {names} or the path of a profile (.toml), received {name!r}") from None


def get_profile(name: str) -> DeviceProfile:
    """How code for a device is compiled and simulated; name and errors as for `get_device`."""
    return get_device(name).profile
