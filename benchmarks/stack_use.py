# SPDX-License-Identifier: Apache-2.0
"""How much of the stack the calls of dynamic builds take on an emulated core, for a small model of this script and a
large one; and the serial console, with all that it calls. The stack is painted before and looked at afterwards.

    python benchmarks/stack_use.py [--model MODEL.keras] [--target cortex-m7] [--json FILE]

Exit code 1 when a call takes more than 4 KB.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

    import tt_tflm

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
LIMIT = 4096
CLASSES = 5
TAIL = 18
CALLS = ("predict", "enroll", "train_step", "fisher_accumulate", "select", "adapt", "save", "load")


def small_model() -> keras.Model:
    """A net of depthwise and pointwise layers for grey images of 16 x 16, its weights drawn with a fixed seed."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6"),
            layers.Conv2D(16, 1),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6"),
            layers.Conv2D(24, 1),
            layers.GlobalAveragePooling2D(),
        ],
        name="small",
    )


def measure(model: keras.Model, target: str, tail: int | None) -> dict[str, Any]:
    """The most that each call takes, over both ways of adapting, and what the console takes."""
    import tt_tflm

    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target, converter.mode, converter.tail = target, "dynamic", tail
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=CLASSES), tt_tflm.Adam(0.003)
    if tail is not None:
        converter.budget = tt_tflm.Budget("0.89MB", backward_macs="6.51M")
    build = converter.convert()
    shape, labels = converter.input_shape, np.arange(CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (CLASSES, *shape), dtype=np.uint8)
    x = (images / 127.5 - 1).astype(np.float32)
    with build.simulate(target) as board:
        for gradient in ("constant", "exact"):
            board.adapt(x, labels, 1, gradient=gradient)
        board.predict(x[0])
        board.train_step(x[0], 0)
        board.save()
        board.load()
        stack = {name: board.stack_bytes[name] for name in CALLS}
    return {
        "model": build.report_data["model"],
        "inspected_layers": len(build.simulation["choice"]["candidates"]),
        "stack_bytes": stack | {"console": console_stack(build, target, images)},
    }


def console_stack(build: tt_tflm.Build, target: str, images: np.ndarray) -> int:
    """Of a whole session over the serial line."""
    import tt_tflm

    with tempfile.TemporaryDirectory() as folder, build.console(target, folder, capacity=CLASSES) as process:
        with tt_tflm.Board(process.port) as board:
            for label, image in enumerate(images):
                board.enroll(image, label)
            board.adapt(1, progress=lambda *_shown: None)
            board.predict(images[0])
            board.train_step(images[0], 0)
            board.save()
            board.load()
            board.status()
        return process.stack_bytes()


@click.command()
@click.option("--model", "model_path", type=click.Path(path_type=Path), help=f"[default: $TT_DATA/{DEFAULT_MODEL}]")
@click.option("--target", default="cortex-m7", show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(model_path: Path | None, target: str, json_path: Path | None) -> None:
    """Print the stack that each call takes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if model_path is None and "TT_DATA" in os.environ:
        model_path = Path(os.environ["TT_DATA"]) / DEFAULT_MODEL
    results = [measure(small_model(), target, None)]
    if model_path is not None:
        from tt_tflm.frontend.loaders import load_keras

        results.append(measure(load_keras(model_path), target, TAIL))
    console = Console()
    table = Table(title=f"stack on {target}, in bytes")
    table.add_column("call")
    for result in results:
        table.add_column(f"{result['model']}, {result['inspected_layers']} layers inspected", justify="right")
    for name in (*CALLS, "console"):
        table.add_row(name, *(f"{result['stack_bytes'][name]:,}" for result in results))
    console.print(table)
    if model_path is None:
        console.print("TT_DATA is not set and no --model is given: the small model alone was measured", style="dim")
    most = max(max(result["stack_bytes"].values()) for result in results)
    console.print(f"the most: [bold]{most:,}[/bold] (at most {LIMIT:,})")
    if json_path is not None:
        content = {"schema_version": 1, "target": target, "limit": LIMIT, "models": results}
        json_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.exit(int(most > LIMIT))


if __name__ == "__main__":
    main()
