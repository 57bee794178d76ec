# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a conversion against TFLiteConverter's for the same models, without the C compiler.

Times are taken in one process, where the programs take turns; peaks of memory in a process for each.

python benchmarks/convert_time.py [--model MODEL.keras] [--application ResNet50] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
CLASSES = 5
PEER, OURS = "TFLiteConverter", "tt-tflm"


def load(name: str) -> keras.Model:
    """A model by path, or of keras.applications with random weights by name."""
    from tt_tflm.frontend.quiet import import_keras

    keras = import_keras()
    return getattr(keras.applications, name)(weights=None) if name.isidentifier() else keras.saving.load_model(name)


def tensorflow_lite(model: keras.Model) -> None:
    import tensorflow as tf

    from tt_tflm.frontend.quiet import silence

    with silence():
        tf.lite.TFLiteConverter.from_keras_model(model).convert()


def conversion(target: str, stages: dict[str, list[float]]) -> Callable[[keras.Model], None]:
    """A whole conversion, adding the seconds of each of its stages to `stages`."""

    def convert(model: keras.Model) -> None:
        import tt_tflm

        marks: list[tuple[str, float]] = [("check model", time.perf_counter())]
        converter = tt_tflm.TrainableConverter.from_keras_model(model)
        converter.target = target
        if len(model.output_shape) == 2 and "softmax" not in str(getattr(model.layers[-1], "activation", "")):
            converter.loss = tt_tflm.PrototypeLoss(classes=CLASSES)
        converter.convert(progress=lambda stage: marks.append((stage, time.perf_counter())))
        ends = [start for _, start in marks[1:]] + [time.perf_counter()]
        for (name, start), end in zip(marks, ends, strict=True):
            stages.setdefault(name, []).append(end - start)

    return convert


def measure(programs: dict[str, Callable], model: keras.Model, rounds: int) -> dict[str, list[float]]:
    """Seconds of each conversion. The programs take turns, so that all meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            program(model)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_bytes(program: str, model: str, target: str) -> tuple[int, int]:
    """The most memory of a process of its own: with everything imported and the model loaded, and after a
    conversion."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peaks, (program, model, target))


def _peaks(program: str, name: str, target: str) -> tuple[int, int]:
    _import_both()
    model = load(name)
    before = _peak()
    (tensorflow_lite if program == PEER else conversion(target, {}))(model)
    return before, _peak()


def _peak() -> int:
    """Of this process: what getrusage tells begins with the memory of the process that started it."""
    try:
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _import_both() -> None:
    """Whatever a program needs, before the clock runs."""
    import tensorflow as tf

    import tt_tflm

    _ = tf.lite.TFLiteConverter, tt_tflm.TrainableConverter


def compare(name: str, target: str, rounds: int) -> dict[str, Any]:
    """Figures of a model."""
    stages: dict[str, list[float]] = {}
    seconds = measure({PEER: tensorflow_lite, OURS: conversion(target, stages)}, load(name), rounds)
    peaks = {program: peak_bytes(program, name, target) for program in (PEER, OURS)}
    return {
        "model": Path(name).stem,
        "programs": {
            program: {
                "first_s": values[0],
                "median_s": statistics.median(values),
                "loaded_bytes": peaks[program][0],
                "peak_bytes": peaks[program][1],
            }
            for program, values in seconds.items()
        },
        "stages": {stage: statistics.median(values) for stage, values in stages.items()},
        "ratio": statistics.median(seconds[OURS]) / statistics.median(seconds[PEER]),
        "ratio_first": seconds[OURS][0] / seconds[PEER][0],
    }


def show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(f"Conversion of {figures['model']}, C compiler apart")
    table = Table()
    table.add_column("program")
    for column in ("first s", "median s", "peak MB", "of them loaded"):
        table.add_column(column, justify="right")
    for name, entry in figures["programs"].items():
        memory = (f"{entry[key] / 1e6:,.0f}" for key in ("peak_bytes", "loaded_bytes"))
        table.add_row(name, f"{entry['first_s']:.2f}", f"{entry['median_s']:.2f}", *memory)
    table.add_section()
    for name, median in figures["stages"].items():
        table.add_row(f"  {name}", "", f"{median:.2f}", "", "")
    console.print(table)
    ratios = f"[bold]{figures['ratio']:.2f}[/bold] (first round {figures['ratio_first']:.2f})"
    console.print(f"tt-tflm / TFLiteConverter, medians: {ratios}")


@click.command()
@click.option(
    "--model",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help=f"Repeatable.  [default: $TT_DATA/{DEFAULT_MODEL}]",
)
@click.option(
    "--application", "applications", multiple=True, metavar="NAME", help="Of keras.applications: ResNet50; repeatable."
)
@click.option("--target", default="cortex-m7", show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(
    paths: tuple[Path, ...], applications: tuple[str, ...], target: str, rounds: int, json_path: Path | None
) -> None:
    """Compare time and memory of a conversion with TFLiteConverter's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    names = [*map(str, paths), *applications]
    if not names:
        if "TT_DATA" not in os.environ:
            raise click.UsageError("expected --model, --application or TT_DATA to be set, received none")
        names = [str(Path(os.environ["TT_DATA"]) / DEFAULT_MODEL)]
    _import_both()
    figures = []
    for name in names:
        figures.append(compare(name, target, rounds))
        show(figures[-1])
    if json_path is not None:
        content = {"schema_version": 2, "target": target, "models": figures}
        json_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
