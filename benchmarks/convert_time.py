# SPDX-License-Identifier: Apache-2.0
"""Time of a conversion against TFLiteConverter's for the same model, in the same run and without the C compiler.

python benchmarks/convert_time.py [--model MODEL.keras] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
CLASSES = 5


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


def show(model: Path, figures: dict) -> None:
    console = Console()
    console.print(f"Conversion of {model.stem}, C compiler apart")
    table = Table()
    table.add_column("program")
    table.add_column("first s", justify="right")
    table.add_column("median s", justify="right")
    for name, entry in figures["programs"].items():
        table.add_row(name, f"{entry['first_s']:.2f}", f"{entry['median_s']:.2f}")
    table.add_section()
    for name, median in figures["stages"].items():
        table.add_row(f"  {name}", "", f"{median:.2f}")
    console.print(table)
    ratios = f"[bold]{figures['ratio']:.2f}[/bold] (first round {figures['ratio_first']:.2f})"
    console.print(f"tt-tflm / TFLiteConverter, medians: {ratios}")


@click.command()
@click.option("--model", "model_path", type=click.Path(path_type=Path), help=f"Default: $TT_DATA/{DEFAULT_MODEL}.")
@click.option("--target", default="cortex-m7", show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(model_path: Path | None, target: str, rounds: int, json_path: Path | None) -> None:
    """Compare the time of a conversion with TFLiteConverter's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if model_path is None:
        if "TT_DATA" not in os.environ:
            raise click.UsageError("expected --model MODEL.keras or TT_DATA to be set, received neither")
        model_path = Path(os.environ["TT_DATA"]) / DEFAULT_MODEL
    # Both are loaded before the clock runs.
    import tt_tflm  # noqa: F401
    from tt_tflm.frontend.quiet import import_keras

    model = import_keras().saving.load_model(model_path)
    stages: dict[str, list[float]] = {}
    seconds = measure({"TFLiteConverter": tensorflow_lite, "tt-tflm": conversion(target, stages)}, model, rounds)
    peer, ours = seconds["TFLiteConverter"], seconds["tt-tflm"]
    figures = {
        "schema_version": 1,
        "model": model_path.stem,
        "target": target,
        "programs": {
            name: {"first_s": values[0], "median_s": statistics.median(values)} for name, values in seconds.items()
        },
        "stages": {name: statistics.median(values) for name, values in stages.items()},
        "ratio": statistics.median(ours) / statistics.median(peer),
        "ratio_first": ours[0] / peer[0],
    }
    show(model_path, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
