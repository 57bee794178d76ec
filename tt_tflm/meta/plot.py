# SPDX-License-Identifier: Apache-2.0
"""A plot of an evaluation: accuracy of each strategy with its interval, and its episodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tt_tflm.errors import InputError
from tt_tflm.files.output import write_whole

SUFFIXES = (".pdf", ".png", ".svg")


def check_plot(path: Path) -> None:
    """Refuses what cannot be drawn, before the evaluation.

    Raises:
        InputError: the file's type is not known, or Matplotlib is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"expected a plot as one of {', '.join(SUFFIXES)}, received {path}")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("expected Matplotlib for --plot, received none: pip install matplotlib")


def write_plot(figures: Mapping[str, Any], path: Path) -> None:
    """Draws an evaluation.

    Args:
        figures: content of the JSON report.
        path: of a type that ``check_plot`` accepts.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strategies = figures["strategies"]
    figure = Figure(figsize=(1.6 + 1.1 * len(strategies), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, result in enumerate(strategies.values()):
        accuracies = [100 * accuracy for accuracy in result["accuracies"]]
        mean, half = 100 * result["accuracy_mean"], 100 * (result["accuracy_ci95"] or 0.0)
        spread = [place + 0.25 * (i / max(1, len(accuracies) - 1) - 0.5) for i in range(len(accuracies))]
        axes.scatter(spread, accuracies, s=10, color="0.7", zorder=1)
        axes.errorbar(place, mean, half, fmt="o", capsize=5, color="C0", zorder=2)
        axes.annotate(f"{mean:.1f}", (place, mean), xytext=(9, -3), textcoords="offset points")
    axes.set_xticks(range(len(strategies)), list(strategies))
    axes.set_ylabel("accuracy, %")
    count = len(next(iter(strategies.values()))["accuracies"])
    axes.set_title(
        f"{figures['model']} on {figures['data']}: {count} episodes, mean and 95% interval", fontsize="medium"
    )
    kind = path.suffix.lower()[1:]
    write_whole(path, lambda file: figure.savefig(file, format=kind, dpi=150))
