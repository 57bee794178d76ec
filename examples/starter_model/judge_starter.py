# SPDX-License-Identifier: Apache-2.0
"""Prints the figures of the starter model's card: what it can do, before and after adapting, and what it costs.

Letters are those that `make_starter.py` held out; digits are scikit-learn's, which no training has seen.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress
from sklearn.datasets import load_digits

import tt_tflm
from tt_tflm import report
from tt_tflm.frontend.loaders import load_keras
from tt_tflm.meta import EvaluationSettings, evaluate
from tt_tflm.meta.fake_quantization import fake_quantized, linear_kernels
from tt_tflm.models import STARTER

HERE = Path(__file__).parent
STRATEGIES = ("none", "last_layer", "full", "tinytrain")
BUDGET = tt_tflm.Budget(ram="192KB")  # as in the demo
LETTER_EPISODES = 200


def rounded(model: keras.Model) -> keras.Model:
    """The model with its weights rounded to int8, one step size for each output channel."""
    for kernel, axes in linear_kernels(model):
        kernel.assign(fake_quantized(kernel.value, axes))
    return model


def digits() -> tuple[np.ndarray, np.ndarray]:
    """8x8 images of 0 to 16 as uint8 (1797, 8, 8, 1), and their classes."""
    data = load_digits()
    return np.round(data.images * (255 / 16)).astype(np.uint8)[..., None], data.target


def costs(model: Path) -> dict[str, Any]:
    """Parameters, bytes, MACs and the RAM of a build that chooses on the board."""
    converter = tt_tflm.TrainableConverter.from_keras_file(model)
    converter.target = "nano33ble"
    converter.loss = tt_tflm.PrototypeLoss(classes=5)
    converter.optimizer = tt_tflm.Adam(learning_rate=0.003)
    converter.mode = "dynamic"
    converter.budget = BUDGET
    figures = converter.convert().report
    return {
        "file_bytes": model.stat().st_size,
        "parameters": load_keras(model).count_params(),
        "parameters_folded": sum(layer["parameters"] for layer in figures["layers"]),
        "forward_macs": figures["forward_macs"],
        "backward_macs_full": figures["backward_macs_full"],
        "ram_bytes": figures["ram_bytes"],
        "arena_bytes": figures["arena_bytes"],
        "row_pool_bytes": figures["row_pool_bytes"],
        "flash_bytes": figures["flash_bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder that make_starter.py filled")
    parser.add_argument("--count", type=int, default=20, help="episodes of digits")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    arguments = parser.parse_args()
    console = Console(width=120)
    letters = arguments.work / "held_out.npz"
    models = (
        ("before meta-training", load_keras(arguments.work / "backbone.keras")),
        ("starter", load_keras(arguments.model)),
        ("starter, weights rounded to int8", rounded(load_keras(arguments.model))),
    )
    figures: dict[str, Any] = {"costs": costs(arguments.model), "letters": {}}
    console.print_json(json.dumps(figures["costs"]))
    on_letters = EvaluationSettings(strategies=("none",), backend="tf", count=LETTER_EPISODES)
    for name, model in models:
        result = evaluate(model, letters, on_letters).to_json()
        entry = figures["letters"][name] = result["strategies"]["none"]
        console.print(
            f"held-out letters, {name}: {entry['accuracy_mean']:.1%} +- {entry['accuracy_ci95']:.1%} "
            f"({LETTER_EPISODES} episodes)",
            highlight=False,
        )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        figures["digits"] = evaluate(
            arguments.model,
            digits(),
            EvaluationSettings(
                strategies=STRATEGIES, budget=BUDGET, count=arguments.count, iterations=arguments.iterations
            ),
            progress=lambda stage, done, total: progress.update(
                task, description=stage, completed=done, total=total or None
            ),
        ).to_json()
    console.print(report.strategies_table(figures["digits"]), report.paired_table(figures["digits"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
