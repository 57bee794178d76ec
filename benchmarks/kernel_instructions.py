# SPDX-License-Identifier: Apache-2.0
"""Instructions per multiply-accumulate of the kernels of ops/kernels, on an emulated core.

Multiply-accumulates are nominal: taps that lie on padding count, additions to a bias do not. Forward passes add a bias
and clip. Every output channel is trained, in "sparse" cases every third. Exits with 1 when a limit is exceeded; cases
without limits are there to be watched.

    python benchmarks/kernel_instructions.py [--target cortex-m7] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tt_tflm.boards.simulated.qemu import build_board_program, emulator_command
from tt_tflm.devices import device_names, get_profile
from tt_tflm.errors import DeviceError
from tt_tflm.files.ops_path import ops_path
from tvm_passes.kernels.geometry import Window

HARNESS = Path(__file__).with_suffix(".c")
KERNELS = ("forward", "grad_input", "grad_weights", "grad_weights_and_bias")
RUNS = ("pack_rows", *KERNELS)
POINTWISE_LIMITS = {"forward": 1.8, "grad_input": 1.9, "grad_weights": 1.9}
DEPTHWISE_LIMITS = {"forward": 2.1, "grad_input": 2.1, "grad_weights": 2.0}
TIMEOUT_S = 120
BOARDS = [name for name in device_names() if get_profile(name).board]


@dataclass(frozen=True)
class Case:
    """A layer that is measured.

    Attributes:
        name: as the table shows it.
        window: its geometry.
        depthwise: which of the two convolutions.
        every: every so many-th output channel is trained.
        limits: kernel -> largest instructions per multiply-accumulate.
    """

    name: str
    window: Window
    depthwise: bool = False
    every: int = 1
    limits: Mapping[str, float] = field(default_factory=dict)

    def macs(self, kernel: str) -> int:
        """Nominal multiply-accumulates."""
        w = self.window
        channels = len(range(0, w.O, self.every)) if kernel.startswith("grad_weights") else w.O
        return w.pixels * w.taps * channels * (1 if self.depthwise else w.C)

    def initialiser(self) -> str:
        """As the harness reads it."""
        fields = ",".join(str(value) for value in self.window.attrs().values())
        return f"{{{{{fields}}},{int(self.depthwise)},{self.every}}}"


def _same(size: int, channels: int, out_channels: int, taps: int = 1, stride: int = 1) -> Window:
    """A square image and window with SAME padding."""
    out = -(-size // stride)
    pad = max(0, (out - 1) * stride + taps - size) // 2
    return Window(size, size, channels, out, out, out_channels, taps, taps, stride, stride, pad, pad)


CASES = (
    Case("PW1 16x16x48 -> 16", _same(16, 48, 16), limits=POINTWISE_LIMITS),
    Case("PW2 8x8x96 -> 24", _same(8, 96, 24), limits=POINTWISE_LIMITS),
    Case("PW3 4x4x160 -> 96", _same(4, 160, 96), limits=POINTWISE_LIMITS),
    Case("DW1 16x16x48, 3x3", _same(16, 48, 48, 3), True, limits=DEPTHWISE_LIMITS),
    Case("DW2 8x8x96, 5x5", _same(8, 96, 96, 5), True, limits=DEPTHWISE_LIMITS),
    Case("PW2, sparse", _same(8, 96, 24), every=3),
    Case("DW1, sparse", _same(16, 48, 48, 3), True, every=3),
    Case("dense 160 -> 96", _same(1, 160, 96)),
    Case("conv 16x16x8 -> 16, 3x3", _same(16, 8, 16, 3)),
    Case("conv 32x32x3 -> 16, 3x3 / 2", _same(32, 3, 16, 3, 2)),
    Case("DW 16x16x48, 3x3 / 2", _same(16, 48, 48, 3, 2), True),
    Case("DW 10x10x48, 5x5", _same(10, 48, 48, 5), True),
    Case("DW 10x10x48, 7x7", _same(10, 48, 48, 7), True),
)


def count_instructions(target: str) -> list[dict[str, int]]:
    """Instructions of every run of every case, in the order of CASES."""
    ops, timing = ops_path(), get_profile(target).emulator.timing
    elf = build_board_program(
        target,
        [HARNESS, *(ops / "sim" / name for name in ("tt_sim_clock.c", *timing))],
        sorted((ops / "kernels/src").glob("tt_*.c")),
        (ops / "include", ops / "kernels/include"),
        ops / "sim",
        (f"-DTT_CASES={','.join(case.initialiser() for case in CASES)}", "-std=c11"),
    )
    command = emulator_command(target, elf)
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    counts: list[dict[str, int]] = [{} for _ in CASES]
    if result.returncode != 0:
        raise DeviceError(f"the emulator stopped with exit status {result.returncode}: {result.stderr.strip()[-200:]}")
    for line in result.stderr.split("\n"):
        if line.strip():
            case, run, instructions = map(int, line.split())
            counts[case][RUNS[run]] = instructions
    return counts


def measure(target: str) -> dict:
    """All figures."""
    cases = []
    for case, counts in zip(CASES, count_instructions(target), strict=True):
        ratios = {kernel: counts[kernel] / case.macs(kernel) for kernel in KERNELS}
        entry = {
            "name": case.name,
            "instructions": counts,
            "macs": {kernel: case.macs(kernel) for kernel in KERNELS},
            "instructions_per_mac": ratios,
            "limits": dict(case.limits),
            "exceeded": [kernel for kernel, limit in case.limits.items() if ratios[kernel] > limit],
        }
        cases.append(entry)
    return {"schema_version": 1, "target": target, "cases": cases}


def show(figures: dict) -> None:
    """The table."""
    table = Table(title=f"Instructions per MAC on {figures['target']}, limit in brackets")
    table.add_column("layer")
    for kernel in KERNELS:
        table.add_column(kernel.replace("_", " "), justify="right")
    for entry in figures["cases"]:
        cells = []
        for kernel in KERNELS:
            limit = entry["limits"].get(kernel)
            text = f"{entry['instructions_per_mac'][kernel]:.2f}" + (f" ({limit:.1f})" if limit else "")
            cells.append(f"[red]{text}[/red]" if kernel in entry["exceeded"] else text)
        table.add_row(entry["name"], *cells)
    Console().print(table)


@click.command()
@click.option("--target", default="cortex-m7", show_default=True, type=click.Choice(BOARDS))
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(target: str, json_path: Path | None) -> None:
    """Count instructions of every kernel, and compare them with the limits."""
    figures = measure(target)
    show(figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    exceeded = [f"{entry['name']} {kernel}" for entry in figures["cases"] for kernel in entry["exceeded"]]
    if exceeded:
        click.echo(f"limit exceeded: {', '.join(exceeded)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
