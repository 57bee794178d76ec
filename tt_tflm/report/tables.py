# SPDX-License-Identifier: Apache-2.0
"""Result tables. They show figures of a report and compute none but sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from tt_tflm.boards.adaptation import AdaptationResult
    from tt_tflm.frontend.layers import Layer
    from tt_tflm.frontend.supported import SupportedLayer

_INSTRUCTIONS = {
    "fisher": "inspecting the support",
    "select": "the selection",
    "adapt": "the adaptation",
    "predict": "a predict",
    "train_step": "a train step",
}


def layer_table(
    model: str,
    layers: Sequence[Layer],
    costs: Sequence[Mapping[str, Any]],
    input_shape: Sequence[int],
    input_scaling: Sequence[float],
) -> Table:
    """Layers of a model and what training each of them alone costs.

    Args:
        model: name of the model.
        layers: the converter's layers.
        costs: the converter's layer costs, in the same order.
        input_shape, input_scaling: the converter's.
    """
    caption = (
        f"input: {_shape(input_shape)}, uint8 {_scaling(input_scaling)}\n"
        "to train a layer alone: all its channels, with SGD"
    )
    table = Table(title=model, caption=caption, show_footer=True)
    table.add_column("layer", footer="all", overflow="fold")
    table.add_column("kind")
    table.add_column("kernel")
    table.add_column("output")
    table.add_column("channels", justify="right")
    table.add_column("parameters", justify="right", footer=_count(sum(layer.parameters for layer in layers)))
    table.add_column("forward MACs", justify="right", footer=_count(sum(layer.forward_macs for layer in layers)))
    table.add_column("to train it alone:\nbackward MACs", justify="right")
    table.add_column("\nmemory", justify="right")
    for layer, cost in zip(layers, costs, strict=True):
        table.add_row(
            layer.name,
            layer.kind,
            _shape(layer.kernel_shape),
            _shape(layer.output_shape),
            _count(layer.channels),
            _count(layer.parameters),
            _count(layer.forward_macs),
            _count(cost["backward_macs"]),
            _bytes(cost["training_bytes"]),
        )
    return table


def build_table(report: Mapping[str, Any]) -> Table:
    """The figures of a build; report: content of report.json."""
    precision = ", int8" if report["precision"] == "int8" else ""
    table = _figures(f"{report['model']} for {report['target']}{precision}")
    _add_build_rows(table, report)
    return table


def trained_layers_table(report: Mapping[str, Any]) -> Table:
    """The layers a build trains; report: content of report.json."""
    table = Table(title="trained")
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    table.add_column("channels", justify="right")
    for layer in report["layers"]:
        if layer["channels_trained"]:
            trained = f"{_count(layer['channels_trained'])} of {_count(layer['channels_total'])}"
            table.add_row(layer["name"], layer["kind"], trained)
    return table


def adaptation_table(report: Mapping[str, Any], device: str, result: AdaptationResult) -> Table:
    """What an adaptation brought, and what it takes on the device; report: content of report.json."""
    table = _figures(f"{report['model']} on {device}")
    table.add_row("accuracy before", f"{result.accuracy_before:.1%}")
    table.add_row("accuracy after", f"{result.accuracy_after:.1%}")
    if result.losses:
        table.add_row("iterations", _count(len(result.losses)))
        table.add_row("loss, first to last iteration", f"{result.losses[0]:.4f} to {result.losses[-1]:.4f}")
    for name, label in _INSTRUCTIONS.items():
        if result.instructions[name] is not None:
            table.add_row(f"instructions of {label}", _count(result.instructions[name]))
    if result.stack_bytes:
        deepest = max(result.stack_bytes, key=lambda name: result.stack_bytes[name])
        table.add_row("stack", f"{_bytes(result.stack_bytes[deepest])} ({deepest})")
    _add_build_rows(table, report)
    return table


def supported_table(layers: Sequence[SupportedLayer]) -> Table:
    """What the front end takes."""
    table = Table(title="supported layers and operations")
    for heading in ("layer or operation", "becomes", "trains", "int8", "limits"):
        table.add_column(heading)
    for layer in layers:
        table.add_row(layer.layer, layer.handled, layer.trains, "yes" if layer.int8 else "", layer.limits)
    return table


def _figures(title: str) -> Table:
    table = Table(title=title, show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right", overflow="fold")
    return table


def _add_build_rows(table: Table, report: Mapping[str, Any]) -> None:
    table.add_section()
    if "input_scaling" in report:  # builds have been saved without it
        table.add_row("uint8 input", _scaling(report["input_scaling"]))
    table.add_row("RAM", _bytes(report["ram_bytes"]))
    least = _bytes(report["arena_lower_bound_bytes"])
    table.add_row("  arena (least possible)", f"{_bytes(report['arena_bytes'])} ({least})")
    table.add_row("  row pool", _bytes(report["row_pool_bytes"]))
    if "session_bytes" in report:
        table.add_row("  session", _bytes(report["session_bytes"]))
    if report.get("placement"):
        table.add_row("  placed", "\n".join(f"{block['name']} in {block['region']}" for block in report["placement"]))
    if report.get("tflm_arena_bytes") is not None:
        table.add_row("TFLM's arena on this machine", _bytes(report["tflm_arena_bytes"]))
    flash = report["flash_bytes"]
    known = [part for part in ("code", "weights") if flash.get(part) is not None]
    table.add_row("flash", _bytes(sum(flash[part] for part in known)) if len(known) == 2 else "not measured")
    for part in known:
        table.add_row(f"  {part}", _bytes(flash[part]))
    table.add_section()
    table.add_row("forward MACs", _count(report["forward_macs"]))
    chosen = report["backward_macs"]
    backward = "as chosen" if chosen is None else _count(chosen)
    table.add_row("backward MACs (all layers trained)", f"{backward} ({_count(report['backward_macs_full'])})")
    if report["updated_parameters"] is not None:
        table.add_row("updated parameters", _count(report["updated_parameters"]))


def _count(value: int) -> str:
    return f"{value:,}"


def _bytes(value: int) -> str:
    return f"{value:,} B"


def _scaling(scaling: Sequence[float]) -> str:
    """How a number from 0 to 255 becomes an input."""
    scale, shift = scaling
    if (scale, shift) == (1, 0):
        return "as it is"
    inverse = 1 / scale
    by = f"/ {inverse:g}" if abs(scale) < 1 and abs(inverse * 2 - round(inverse * 2)) < 1e-6 else f"x {scale:g}"
    return f"{by} {'-' if shift < 0 else '+'} {abs(shift):g}" if shift else by


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
