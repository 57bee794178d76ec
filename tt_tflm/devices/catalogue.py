# SPDX-License-Identifier: Apache-2.0
"""Devices by name: this machine, the cores, the boards that come with the package, and profiles of the user's."""

from __future__ import annotations

import functools
from pathlib import Path

from tt_tflm.devices.cores import CORES, core_names
from tt_tflm.devices.device import Device, read_device
from tt_tflm.devices.profiles import DeviceProfile
from tt_tflm.errors import InputError, meant

_BOARDS = Path(__file__).parent / "boards"


@functools.cache
def _boards() -> dict[str, Device]:
    return {device.name: device for device in map(read_device, sorted(_BOARDS.glob("*.toml")))}


def _catalogue() -> dict[str, Device]:
    cores = (CORES[name] for name in core_names())
    return {core.name: Device(core.name, core.title, core.name, core.usual) for core in cores} | _boards()


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
    catalogue = _catalogue()
    try:
        return catalogue[name]
    except (KeyError, TypeError):
        raise InputError(
            f"expected a target of {', '.join(catalogue)} or the path of a profile (.toml), received {name!r}"
            f"{meant(name, catalogue)}"
        ) from None


def get_profile(name: str) -> DeviceProfile:
    """How code for a device is compiled and simulated; name and errors as for `get_device`."""
    return get_device(name).profile
