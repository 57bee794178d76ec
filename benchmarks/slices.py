# SPDX-License-Identifier: Apache-2.0
"""How long a board is away while it learns: the most instructions of one slice of a choice or an adaptation, and the
most between two signs of life in it, which come between kernels (sources compiled with TT_PULSES). On an emulated core;
compared with what a watchdog of 200 ms leaves at 64 MHz, an instruction a cycle.

    python benchmarks/slices.py [--data DIR] [--target cortex-m4] [--json FILE]

Exits with 1 when more than that passes between two signs of life.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

PROGRAM = Path(__file__).with_suffix(".c")
WATCHDOG_S, HERTZ = 0.2, 64_000_000
LIMIT = int(WATCHDOG_S * HERTZ)
SAMPLES = 2
CLASSES = 5
LARGE_MODEL = "models/mcunet-5fps_backbone.keras"
TIMEOUT_S = 900
# By their numbers in slices.c: the stages of tt_inspection.c, then those of tt_adapt.c.
KINDS = (
    "enrol",
    "inspect",
    "select",
    "enrol, first",
    "embed",
    "back",
    "enrol, constant",
    "query, constant",
    "enrol, last",
)


def measure(model: keras.Model, target: str, ram: str | None) -> dict[str, Any]:
    """Figures of a dynamic build of a model: by kind of slice."""
    import tt_tflm
    from tt_tflm.boards.simulated.qemu import build_elf, emulator_command
    from tt_tflm.devices import get_profile
    from tt_tflm.errors import DeviceError
    from tt_tflm.files.ops_path import ops_path

    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target, converter.mode = target, "dynamic"
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=CLASSES), tt_tflm.Adam(0.003)
    if ram is not None:
        converter.budget = tt_tflm.Budget(ram, backward_macs="6.51M")
    build = converter.convert()
    with tempfile.TemporaryDirectory() as folder:
        build._write(Path(folder) / "build")
        files = build._simulation_files(Path(folder))
        console = ops_path() / "console"
        timing = ("tt_sim_clock.c", *get_profile(target).emulator.timing)
        sources = [PROGRAM, console / "tt_console_text.c", *(files.sim_dir / name for name in timing)]
        defines = ("-DTT_PULSES", f"-DTT_SAMPLES={SAMPLES}", "-std=c11")
        elf = build_elf(files, target, sources, (console,), defines)
        result = subprocess.run(emulator_command(target, elf), capture_output=True, text=True, timeout=TIMEOUT_S)
    if result.returncode != 0:
        raise DeviceError(f"the emulator stopped with exit status {result.returncode}: {result.stderr.strip()[-200:]}")
    slices = {}
    for line in result.stderr.splitlines():
        kind, slice_instructions, gap_instructions = map(int, line.split())
        slices[KINDS[kind]] = {"slice": slice_instructions, "between_signs_of_life": gap_instructions}
    return {"model": build.report_data["model"], "slices": slices}


def show(results: list[dict[str, Any]], target: str) -> None:
    """The table."""
    table = Table(title=f"instructions on {target}: the most of one slice, and between two signs of life")
    table.add_column("slice")
    for result in results:
        table.add_column(result["model"], justify="right")
        table.add_column("signs of life", justify="right")
    for kind in KINDS:
        cells = []
        for result in results:
            figures = result["slices"][kind]
            cells += [f"{figures['slice']:,}", f"{figures['between_signs_of_life']:,}"]
        table.add_row(kind, *cells)
    worst = [max(result["slices"].values(), key=lambda figures: figures["slice"])["slice"] for result in results]
    gaps = [longest(result) for result in results]
    cells = [f"{number:,}" for pair in zip(worst, gaps, strict=True) for number in pair]
    table.add_row("[bold]the most[/bold]", *cells)
    Console().print(table)


def longest(result: dict[str, Any]) -> int:
    """Most instructions between two signs of life."""
    return max(figures["between_signs_of_life"] for figures in result["slices"].values())


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help=f"Folder with {LARGE_MODEL}.  [default: $TT_DATA]")
@click.option("--target", default="cortex-m4", show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(data: Path | None, target: str, json_path: Path | None) -> None:
    """Print the longest slices, and compare what is between two signs of life with a watchdog's time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from tt_tflm.frontend.loaders import load_keras
    from tt_tflm.models import starter

    if data is None and "TT_DATA" in os.environ:
        data = Path(os.environ["TT_DATA"])
    results = [measure(starter(), target, None)]
    if data is not None:
        results.append(measure(load_keras(data / LARGE_MODEL), target, "0.89MB"))
    show(results, target)
    if data is None:
        click.echo("TT_DATA is not set and no --data is given: the starter alone was measured")
    most = max(map(longest, results))
    click.echo(
        f"between two signs of life: at most {most:,} instructions of {LIMIT:,} ({WATCHDOG_S * 1000:g} ms at "
        f"{HERTZ / 1e6:g} MHz)"
    )
    if json_path is not None:
        content = {"schema_version": 1, "target": target, "limit": LIMIT, "models": results}
        json_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.exit(int(most > LIMIT))


if __name__ == "__main__":
    main()
