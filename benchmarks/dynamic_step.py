# SPDX-License-Identifier: Apache-2.0
"""What choosing on the board costs, in instructions of an emulated core:

- a train step of a dynamic build over one of the static build with the same plan;
- Fisher pass and selection over the adaptation that follows them.

    python benchmarks/dynamic_step.py [--model MODEL.keras] [--episode EPISODE.npz] [--json FILE]
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import tt_tflm

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
DEFAULT_EPISODE = "examples/gtsrb_dev00.npz"
ITERATIONS = 40
OPTIMIZERS = ("sgd", "momentum", "adam")
STEP_LIMIT = 1.10
SELECTION_LIMIT = 0.05
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        model: a Keras file that ends in an embedding.
        episode: its support set is adapted to.
        target: an emulated core.
        budget: of the selection.
        tail: layers inspected; None for all.
        optimizer: one of ``OPTIMIZERS``; the share of selecting is measured with all but ``sgd``, which has no
            gradients to accumulate.
        samples: support samples a class.
    """

    model: Path
    episode: Path
    target: str
    budget: tt_tflm.Budget
    tail: int | None
    optimizer: str
    samples: int


def measure(settings: Settings, progress: Progress = lambda _stage: None) -> dict:
    """All figures."""
    import tt_tflm
    from tt_tflm.optimizers import OPTIMIZERS as RULES

    converter = tt_tflm.TrainableConverter.from_keras_file(settings.model)
    x, labels = support_of(settings, converter.input_scaling)
    converter.target = settings.target
    converter.loss = tt_tflm.PrototypeLoss(classes=int(labels.max()) + 1)
    converter.optimizer = RULES[settings.optimizer]()
    converter.mode, converter.budget, converter.tail = "dynamic", settings.budget, settings.tail
    progress("converting, dynamic")
    dynamic = converter.convert()
    progress("adapting, dynamic")
    with dynamic.simulate(settings.target) as board:
        figures = measure_selection(board, x, labels, adaptable=dynamic.simulation["adaptable"])
        plan = board.plan()
        step = instructions_of_step(board, x, labels)
    progress("converting, static")
    converter.mode, converter.plan = "static", plan
    static = converter.convert()
    progress("training, static")
    with static.simulate(settings.target) as board:
        peer = instructions_of_step(board, x, labels)
    report = static.report_data
    return {
        "schema_version": 1,
        "model": settings.model.stem,
        "target": settings.target,
        "optimizer": settings.optimizer,
        "inspected_layers": len(dynamic.simulation["choice"]["candidates"]),
        "support_samples": len(x),
        "plan": {name: len(entry[0]) for name, entry in plan.layers.items()},
        "backward_macs": report["backward_macs"],
        "backward_macs_full": report["backward_macs_full"],
        "train_step": {"dynamic": step, "static": peer, "ratio": step / peer},
        "adaptation": figures,
    }


def support_of(settings: Settings, scaling: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The first samples of every class of the episode."""
    from tt_tflm.boards.episode import load_episode
    from tt_tflm.frontend.loaders import load_keras

    episode = load_episode(settings.episode, tuple(load_keras(settings.model).input_shape[1:]), scaling)
    labels = episode.support_y
    first = np.concatenate([np.flatnonzero(labels == c)[: settings.samples] for c in range(episode.classes)])
    return episode.support_x[first], labels[first]


def measure_selection(board, x: np.ndarray, labels: np.ndarray, *, adaptable: bool) -> dict | None:
    """Instructions of inspecting, selecting and adapting; leaves the selected plan on the board.

    An adaptation enrolls the support set before and after its iterations, which are alike: one of them is run, and the
    forty follow from it.
    """
    for sample, label in zip(x, labels, strict=True):
        board.enroll(sample, int(label))
    if not adaptable:
        for sample, label in zip(x, labels, strict=True):
            board.fisher_accumulate(sample, int(label))
        board.select()
        return None
    enrolling = 2 * len(x) * board.instructions["enroll"]
    counted = board.adapt(x, labels, iterations=1).instructions
    adapting = enrolling + ITERATIONS * (counted["adapt"] - enrolling)
    selecting = counted["fisher"] + counted["select"]
    return {
        "fisher": counted["fisher"],
        "select": counted["select"],
        "iteration": counted["adapt"] - enrolling,
        "iterations": ITERATIONS,
        "adapt": adapting,
        "share": selecting / adapting,
    }


def instructions_of_step(board, x: np.ndarray, labels: np.ndarray) -> int:
    """Of one train step that is the first of its plan, prototypes of two classes being enrolled."""
    for label in (0, 1):
        board.enroll(x[np.flatnonzero(labels == label)[0]], label)
    board.train_step(x[0], int(labels[0]))
    return board.instructions["train_step"]


def show(figures: dict) -> None:
    console = Console()
    layers = ", ".join(f"{name} {count}" for name, count in figures["plan"].items())
    console.print(
        f"{figures['model']} on {figures['target']}, {figures['optimizer']}, {figures['inspected_layers']} layers "
        f"inspected, {figures['support_samples']} support samples\nplan: {layers}"
    )
    table = Table()
    table.add_column("what")
    table.add_column("instructions", justify="right")
    step = figures["train_step"]
    table.add_row("train step, static build", f"{step['static']:,}")
    table.add_row("train step, dynamic build", f"{step['dynamic']:,}")
    adaptation = figures["adaptation"]
    if adaptation is not None:
        table.add_section()
        table.add_row("Fisher pass over the support set", f"{adaptation['fisher']:,}")
        table.add_row("selection", f"{adaptation['select']:,}")
        table.add_row(f"adaptation of {adaptation['iterations']} iterations", f"{adaptation['adapt']:,}")
    console.print(table)
    console.print(f"dynamic / static step: [bold]{step['ratio']:.4f}[/bold] (at most {STEP_LIMIT:.2f})")
    if adaptation is not None:
        share = f"[bold]{adaptation['share']:.2%}[/bold] (at most {SELECTION_LIMIT:.0%})"
        console.print(f"Fisher pass and selection / adaptation: {share}")


@click.command()
@click.option("--model", "model_path", type=click.Path(path_type=Path), help=f"Default: $TT_DATA/{DEFAULT_MODEL}.")
@click.option(
    "--episode", "episode_path", type=click.Path(path_type=Path), help=f"Default: $TT_DATA/{DEFAULT_EPISODE}."
)
@click.option("--target", default="cortex-m7", show_default=True)
@click.option("--training-memory", default="0.89MB", show_default=True)
@click.option("--backward-macs", default="6.51M", show_default=True)
@click.option("--tail", type=click.IntRange(1), help="Layers inspected; default: all.")
@click.option("--optimizer", default="adam", show_default=True, type=click.Choice(OPTIMIZERS))
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Support samples a class.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(
    model_path: Path | None,
    episode_path: Path | None,
    target: str,
    training_memory: str,
    backward_macs: str,
    tail: int | None,
    optimizer: str,
    samples: int,
    json_path: Path | None,
) -> None:
    """Compare a dynamic build with the static build of the plan that it selects."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if (model_path is None or episode_path is None) and "TT_DATA" not in os.environ:
        raise click.UsageError("expected --model and --episode or TT_DATA to be set, received neither")
    data = Path(os.environ.get("TT_DATA", ""))
    import tt_tflm

    budget = tt_tflm.Budget(training_memory, backward_macs=backward_macs)
    settings = Settings(
        model_path or data / DEFAULT_MODEL,
        episode_path or data / DEFAULT_EPISODE,
        target,
        budget,
        tail,
        optimizer,
        samples,
    )
    console = Console(stderr=True)
    figures = measure(settings, lambda stage: console.print(stage, style="dim"))
    show(figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
