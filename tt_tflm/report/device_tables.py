# SPDX-License-Identifier: Apache-2.0
"""Tables of devices and of their memories."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tt_tflm.devices import Device
from tvm_passes.kernels.tiling import SCALAR


def device_table(devices: Sequence[Device]) -> Table:
    """One line for each device."""
    table = Table(title="devices", caption="RAM: what lies inside the chip + what firmware has to bring up")
    for heading in ("name", "title", "core", "FPU", "instruction sets"):
        table.add_column(heading, overflow="fold")
    table.add_column("RAM", justify="right")
    table.add_column("largest region", justify="right")
    table.add_column("flash", justify="right")
    table.add_column("simulated on")
    for device in devices:
        internal, external = (
            sum(region.bytes for region in device.ram if region.external is outside) for outside in (False, True)
        )
        board = device.profile.board
        table.add_row(
            device.name,
            device.title,
            device.core,
            "" if device.profile.is_host else str(device.features.get("fpu", "")),
            "" if device.profile.is_host else ", ".join(sorted(device.profile.isa - {SCALAR})),
            _kib(internal) + (f" + {_kib(external)}" if external else ""),
            _kib(max((region.bytes for region in device.ram), default=0)),
            _kib(device.flash_bytes or 0),
            board.machine if board else "",
        )
    return table


def memory_table(device: Device) -> Table:
    """The memories of a device, the main RAM region first."""
    table = Table(title=f"{device.name}: {device.title}")
    table.add_column("memory")
    table.add_column("from")
    table.add_column("bytes", justify="right")
    table.add_column("")
    for region in device.ram:
        note = "firmware has to bring it up" if region.external else ""
        table.add_row(region.name, f"{region.origin:#010x}", f"{region.bytes:,}", note)
    if device.flash_bytes is not None:
        table.add_row("flash", "", f"{device.flash_bytes:,}", "")
    if device.qemu_machine:
        table.caption = f"emulated by QEMU's machine {device.qemu_machine}"
    return table


def _kib(size: int) -> str:
    return f"{size / 1024:,.0f} KiB" if size else ""
