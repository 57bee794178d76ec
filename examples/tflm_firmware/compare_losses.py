# SPDX-License-Identifier: Apache-2.0
"""Compare the firmware's losses with those of this machine: python compare_losses.py train.tflite samples.bin log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.tflite.op_params import Command

TOLERANCE = 1e-5
LINE = re.compile(r"^(\d+) (\w+) label (\d+) loss (\S+)$", re.MULTILINE)


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("samples", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(model: Path, samples: Path, log: Path) -> None:
    """Run MODEL on SAMPLES in TFLM's interpreter here, and compare with what the firmware has printed into LOG.

    Exits with 1 if a loss differs by more than 1e-5 (relative where it is above 1).
    """
    text = log.read_text()
    printed = [float(match[4]) for match in LINE.finditer(text)]
    expected = list(losses(model.read_bytes(), samples.read_bytes()))
    if len(printed) != len(expected):
        raise click.ClickException(f"expected {len(expected)} losses in {log}, received {len(printed)}")
    worst = 0.0
    for step, ((command, here), there) in enumerate(zip(expected, printed, strict=True)):
        if command is Command.TRAIN:
            worst = max(worst, abs(here - there) / max(1.0, abs(here)))
            click.echo(f"{step:4} loss {here:.7f} here, {there:.7f} in the firmware")
    arena = re.search(r"^arena_used_bytes (\d+)$", text, re.MULTILINE)
    here = TflmInterpreter(model.read_bytes()).arena.total
    click.echo(f"arena {here} bytes here (64-bit), {arena[1]} bytes in the firmware (32-bit)")
    click.echo(f"largest difference of a loss {worst:.2g}")
    if not worst <= TOLERANCE:
        raise click.ClickException(f"expected losses within {TOLERANCE:g}, received {worst:.2g}")


def losses(model: bytes, samples: bytes) -> Iterator[tuple[Command, float]]:
    """Command and loss of every sample."""
    interpreter = TflmInterpreter(model)
    shape = interpreter.input_shape(0)
    count, floats = np.frombuffer(samples, "<i4", 2)
    words = np.frombuffer(samples, "<i4", offset=8).reshape(count, 2 + floats)
    for record in words:
        interpreter.set_input(0, record[2:].view(np.float32).reshape(shape))
        interpreter.set_input(1, record[1:2])
        interpreter.set_input(2, record[:1])
        interpreter.invoke()
        yield Command(int(record[0])), float(interpreter.output(0)[0])


if __name__ == "__main__":
    main()
