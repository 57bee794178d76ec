# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm devices`: what a build can be made for."""

from __future__ import annotations

from pathlib import Path

import click

from tt_tflm.cli import options, terminal


@click.command()
@click.argument("profile", required=False, type=options.Target(), metavar="[DEVICE]")
@options.json_option
def devices(profile: str | None, json_path: Path | None) -> None:
    """List the devices a build can be made for, or the memories of DEVICE: a name, or a profile of yours (.toml)."""
    from tt_tflm import report
    from tt_tflm.devices import devices as all_devices
    from tt_tflm.devices import get_device

    found = (get_device(profile),) if profile else all_devices()
    terminal.show(report.memory_table(found[0]) if profile else report.device_table(found))
    if json_path:
        content = {"schema_version": 1, "devices": [device.to_json() for device in found]}
        report.write_json(json_path, content)
