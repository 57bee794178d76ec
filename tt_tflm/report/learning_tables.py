# SPDX-License-Identifier: Apache-2.0
"""Tables of meta-training and of evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_MOST_ROWS = 12


def history_table(figures: Mapping[str, Any]) -> Table:
    """Validations of a run, at most twelve evenly spread ones; figures: content of the JSON report of meta-train."""
    history = figures["history"]
    table = Table(title=f"{figures['backbone']} on {figures['data']}")
    for heading in ("episode", "loss", "training", "validation", "temperature", "seconds"):
        table.add_column(heading, justify="right")
    last = len(history) - 1
    shown = (
        sorted({round(i * last / (_MOST_ROWS - 1)) for i in range(_MOST_ROWS)})
        if last >= _MOST_ROWS
        else range(last + 1)
    )
    for row in (history[i] for i in shown):
        table.add_row(
            f"{row['episode']:,}",
            "" if row["loss"] is None else f"{row['loss']:.3f}",
            "" if row["accuracy"] is None else f"{row['accuracy']:.1%}",
            "" if row["validation_accuracy"] is None else _share(row["validation_accuracy"], row["validation_ci95"]),
            f"{row['temperature']:.2f}",
            f"{row['seconds']:,.0f}",
        )
    return table


def meta_training_table(figures: Mapping[str, Any], seconds: float) -> Table:
    """What came of a run; figures: content of the JSON report of meta-train."""
    table = Table(show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    validated = [row for row in figures["history"] if row["validation_accuracy"] is not None]
    if validated:
        rounded = validated[-1]["fake_quantized"]
        best = max(row["validation_accuracy"] for row in validated if row["fake_quantized"] == rounded)
        table.add_row("validation, backbone as given", f"{validated[0]['validation_accuracy']:.1%}")
        table.add_row("validation, best" + (", weights rounded to int8" if rounded else ""), f"{best:.1%}")
    table.add_row("temperature", f"{figures['temperature']:.2f}")
    table.add_row("episodes", f"{figures['episodes']:,} (ended by {figures['stopped']})")
    if figures["skipped"]:
        table.add_row("files that cannot be decoded, left out", f"{len(figures['skipped']):,}")
    table.add_row("time", f"{seconds / 60:.1f} min")
    return table


def strategies_table(figures: Mapping[str, Any]) -> Table:
    """Accuracy and cost of each strategy; figures: content of the JSON report of evaluate."""
    count = len(next(iter(figures["strategies"].values()))["accuracies"])
    table = Table(title=f"{figures['model']} on {figures['data']}: {count} episodes, 95% intervals")
    table.add_column("strategy")
    counted = "instructions" in next(iter(figures["strategies"].values()))
    instructions = ("predict", "choice", "update") if counted else ()
    for heading in ("accuracy", "training memory", "RAM", "backward MACs", *instructions):
        table.add_column(heading, justify="right")
    if counted:
        table.caption = "instructions of a prediction, of inspecting and selecting, and of an update"
    for name, result in figures["strategies"].items():
        table.add_row(
            name,
            _share(result["accuracy_mean"], result["accuracy_ci95"]),
            f"{result['training_memory_bytes']:,} B",
            f"{result['ram_bytes']:,} B",
            f"{result['backward_macs']:,}",
            *(_instructions(result["instructions"]) if counted else ()),
        )
    return table


def _instructions(counts: Mapping[str, int] | None) -> tuple[str, str, str]:
    if counts is None:
        return ("too large",) * 3
    return f"{counts['predict']:,}", f"{counts['fisher'] + counts['select']:,}", f"{counts['update']:,}"


def paired_table(figures: Mapping[str, Any]) -> Table:
    """Differences on the same episodes; figures: content of the JSON report of evaluate."""
    table = Table(title="differences on the same episodes, points")
    for heading in ("a", "b"):
        table.add_column(heading)
    table.add_column("a - b", justify="right")
    for row in figures["paired"]:
        interval = "" if row["ci95"] is None else f" \u00b1 {100 * row['ci95']:.1f}"
        table.add_row(row["a"], row["b"], f"{100 * row['mean']:+.1f}{interval}")
    return table


def _share(mean: float, ci95: float | None) -> str:
    return f"{100 * mean:.1f}" + ("%" if ci95 is None else f" \u00b1 {100 * ci95:.1f}%")
