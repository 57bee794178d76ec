# SPDX-License-Identifier: Apache-2.0
"""What Arduino's flags cost an exported library: instructions on an emulated Cortex-M4 with the sources and the command
line of the library (-Os, its own flags by pragma), over those of a CMake build.

    python benchmarks/arduino_flags.py OUT        # a build for cortex-m4 or a device of that core
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest import mock

import click
import numpy as np
from rich.console import Console
from rich.table import Table

# The core's command line: cflags.txt of the Nano 33 BLE; the float ABI is that of the simulation's C library.
ARDUINO_FLAGS = (
    "-std=gnu11",
    "-Os",
    "-fdata-sections",
    "-ffunction-sections",
    "-fno-exceptions",
    "-fomit-frame-pointer",
    "-funsigned-char",
)
CALLS = ("predict", "train_step")


def measure(folder: Path) -> dict[str, dict[str, int]]:
    """Instructions of each call: ``cmake``, ``arduino``, and ``bare``, the same command line without the pragmas."""
    import tt_tflm
    from tt_tflm.boards.simulated import QemuBoard, qemu
    from tt_tflm.devices import get_profile
    from tt_tflm.export.arduino.library import arduino_files

    build = tt_tflm.load_build(folder)
    exported = {Path(name).name: text for name, text in arduino_files(build).items() if name.startswith("src/")}
    x = np.random.default_rng(0).standard_normal(build.simulation["input_shape"]).astype(np.float32)
    profile = get_profile("cortex-m4")
    counts = {}
    for kind in ("cmake", "arduino", "bare"):
        with build._folder() as scratch:
            files, used = build._simulation_files(Path(scratch)), profile
            if kind != "cmake":
                used = dataclasses.replace(profile, base_flags=ARDUINO_FLAGS)
                files = dataclasses.replace(files, sources=files.sources + files.kernel_sources, kernel_sources=())
            if kind == "arduino":
                for source in files.sources:
                    source.write_text(exported[source.name], encoding="utf-8")
            with (
                mock.patch.object(qemu, "get_profile", lambda _name, used=used: used),
                QemuBoard(files, "cortex-m4") as board,
            ):
                if build.simulation["loss"] == "prototype":
                    board.enroll(x, 0)
                    board.enroll(-x, 1)
                if build.simulation["choice"]:
                    board.fisher_accumulate(x, 0)
                    board.select()
                board.predict(x)
                board.train_step(x, 0)
                counts[kind] = {name: board.instructions[name] for name in CALLS}
    return counts


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="OUT")
def main(folder: Path) -> None:
    """Print the table."""
    counts = measure(folder)
    table = Table("", *CALLS, title=f"Instructions of {folder.name}, and over those of a CMake build")
    for kind, title in (("cmake", "CMake"), ("arduino", "exported library"), ("bare", "the same without its pragmas")):
        cells = [f"{counts[kind][name]:,} ({counts[kind][name] / counts['cmake'][name]:.3f})" for name in CALLS]
        table.add_row(title, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
