# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm export`: a build as what a build system of firmware takes."""

from __future__ import annotations

from pathlib import Path

import click

from tt_tflm.cli import terminal
from tt_tflm.errors import InputError


@click.command()
@click.argument("build_path", type=click.Path(path_type=Path), metavar="OUT")
@click.option(
    "--zephyr", type=click.Path(path_type=Path), metavar="DIR", help="A Zephyr module, with a sample and a test."
)
@click.option(
    "--arduino", type=click.Path(path_type=Path), metavar="LIB.zip", help="An Arduino library, with sketches."
)
def export(build_path: Path, zephyr: Path | None, arduino: Path | None) -> None:
    """Make a Zephyr module or an Arduino library of the build in the folder OUT."""
    if (zephyr is None) == (arduino is None):
        received = "none" if zephyr is None else "both"
        raise InputError(f"expected --zephyr DIR or --arduino LIB.zip, received {received}")
    with terminal.stages("loading the build") as stage:
        import tt_tflm
        from tt_tflm.export import export_arduino, export_zephyr

        build = tt_tflm.load_build(build_path)
        stage("writing")
        if arduino is not None:
            export_arduino(build, arduino)
        if zephyr is not None:
            export_zephyr(build, zephyr)
