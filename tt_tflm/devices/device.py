# SPDX-License-Identifier: Apache-2.0
"""What a build has to fit: a device's core, its RAM regions and its flash.

A profile is a TOML file (the built-in ones lie in ``boards/``)::

    name = "my-board"             # what converter.target and --target show
    title = "My board, rev. B"
    core = "cortex-m4"            # a name out of `core_names`
    fpu = "single"                # the core's features, each of them one of what the core may have
    dsp = true
    mve = false
    flash_bytes = 1_048_576       # what firmware may use: bootloaders taken off
    qemu_machine = "mps2-an386"   # optional: the machine that emulates this very board

    [[ram]]                       # the main memory first; regions that touch may be given as one
    name = "sram"
    origin = 0x2000_0000
    bytes = 262_144
    external = false              # optional: true for memory that firmware has to bring up, used last
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from tt_tflm.devices.cores import CORES, Feature, core_names
from tt_tflm.devices.profiles import DeviceProfile, profile_of
from tt_tflm.errors import InputError, expect_one_of
from tt_tflm.files.schema import checked
from tt_tflm.files.toml_input import read_toml

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_ADDRESSES = 2**32


@dataclass(frozen=True)
class RamRegion:
    """A run of RAM.

    Attributes:
        name: as the placement of a build shows it.
        origin: address of the first byte.
        bytes: its length.
        external: whether firmware has to bring it up before use; a placement takes it last.
    """

    name: str
    origin: int
    bytes: int
    external: bool = False


@dataclass(frozen=True)
class Device:
    """A device, or a core of which nothing but the instruction set is known.

    Attributes:
        name, title: short and long name.
        core: name of the core; ``host`` for this machine.
        features: what it has of the core's features (``Core.features``): for a Cortex-M ``fpu``, which is ``none``,
            ``single`` or ``double``, ``dsp`` and ``mve``.
        flash_bytes: what firmware may use; None where it is not known.
        ram: its regions, the main one first; empty where they are not known.
        qemu_machine: the QEMU machine that emulates this very board; None without one. Simulation runs on the core's.
    """

    name: str
    title: str
    core: str
    features: Mapping[str, Feature]
    flash_bytes: int | None = None
    ram: tuple[RamRegion, ...] = ()
    qemu_machine: str | None = None

    @property
    def profile(self) -> DeviceProfile:
        """How code for the device is compiled, and what its core is simulated on."""
        return profile_of(CORES[self.core], self.features)

    def to_json(self) -> dict[str, Any]:
        """As report.json records it: the keys of the TOML file."""
        return {
            "name": self.name,
            "title": self.title,
            "core": self.core,
            **self.features,
            "flash_bytes": self.flash_bytes,
            "ram": [asdict(region) for region in self.ram],
            "qemu_machine": self.qemu_machine,
        }


def device_from_json(content: Any, where: str = "device") -> Device:
    """The device that `Device.to_json` described.

    Raises:
        InputError: a key is missing or of another type, or the core is unknown; the message begins with ``where``.
    """
    own = ("name", "title", "core", "flash_bytes", "ram", "qemu_machine")
    given = checked(content, dict[str, Any], where)
    features = {key: value for key, value in given.items() if key not in own}
    device = checked({key: given[key] for key in own if key in given} | {"features": features}, Device, where)
    expect_one_of(f"{where}: core", device.core, core_names())
    for key, allowed in CORES[device.core].features.items():
        if features.get(key) not in allowed:
            raise InputError(f"{where}: {key}: expected one of {allowed}, received {features.get(key)!r}")
    return device


def read_device(path: str | Path) -> Device:
    """The device of a TOML file.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or out of range; the message names it.
    """
    return _Reader(str(path)).device(read_toml(path, "a device profile in TOML"))


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path

    def device(self, content: Mapping[str, Any]) -> Device:
        self._require("", content, ("core",))
        core, cores = content["core"], core_names()[1:]
        if core not in cores:
            self._refuse("core", f"one of {', '.join(cores)}", core)
        features = CORES[core].features
        self._check_keys("", content, ("name", "title", "core", *features, "flash_bytes", "ram"), ("qemu_machine",))
        for key, allowed in features.items():
            if type(content[key]) is not type(allowed[0]) or content[key] not in allowed:
                self._refuse(key, f"{' or '.join(map(_toml, allowed))} for {core}", content[key])
        machine = content.get("qemu_machine")
        if machine is not None and not (isinstance(machine, str) and machine):
            self._refuse("qemu_machine", "the name of a QEMU machine", machine)
        return Device(
            self._name("name", content["name"]),
            self._text("title", content["title"]),
            core,
            {key: content[key] for key in features},
            self._count("flash_bytes", content["flash_bytes"], 1),
            self._regions(content["ram"]),
            machine,
        )

    def _regions(self, entries: Any) -> tuple[RamRegion, ...]:
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self._refuse("ram", "at least one [[ram]] table", entries)
        regions: list[RamRegion] = []
        for index, entry in enumerate(entries):
            key = f"ram[{index}]"
            self._check_keys(f"{key}.", entry, ("name", "origin", "bytes"), ("external",))
            external = entry.get("external", False)
            if not isinstance(external, bool):
                self._refuse(f"{key}.external", "true or false", external)
            region = RamRegion(
                self._name(f"{key}.name", entry["name"]),
                self._count(f"{key}.origin", entry["origin"], 0),
                self._count(f"{key}.bytes", entry["bytes"], 1),
                external,
            )
            if region.origin + region.bytes > _ADDRESSES:
                self._refuse(
                    f"{key}.bytes", f"at most {_ADDRESSES - region.origin:,} B above {region.origin:#x}", region.bytes
                )
            for other in regions:
                if other.name == region.name:
                    self._refuse(f"{key}.name", "a name of its own for each region", region.name)
                if max(region.origin, other.origin) < min(region.origin + region.bytes, other.origin + other.bytes):
                    self._refuse(
                        f"{key}.origin", f"a region that does not overlap '{other.name}'", f"{region.origin:#x}"
                    )
            regions.append(region)
        return tuple(regions)

    def _check_keys(
        self, prefix: str, content: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...]
    ) -> None:
        self._require(prefix, content, required)
        for key in content:
            if key not in required + optional:
                raise InputError(
                    f"{self._path}: expected no keys but {', '.join(required + optional)}, received {prefix}{key}"
                )

    def _require(self, prefix: str, content: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in keys:
            if key not in content:
                raise InputError(f"{self._path}: expected the key {prefix}{key}, received none")

    def _name(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self._refuse(key, "lower-case letters, digits, '.', '_' and '-'", value)
        return value

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self._refuse(key, "a line of text", value)
        return value

    def _count(self, key: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _ADDRESSES:
            self._refuse(key, f"a whole number of {least} to {_ADDRESSES - 1:,}", value)
        return value

    def _refuse(self, key: str, expected: str, received: Any) -> NoReturn:
        raise InputError(f"{self._path}: {key}: expected {expected}, received {_toml(received)}")


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
