# SPDX-License-Identifier: Apache-2.0
"""Tables of saved states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def state_table(state: Mapping[str, Any], several: bool) -> Table:
    """A saved state in figures.

    Args:
        state: an entry of what ``tt-tflm inspect --json`` writes.
        several: whether it is one of several in a storage.
    """
    which = (
        f"state at byte {state['offset']:,}{', the newest' if state['newest'] else ''}" if several else "saved state"
    )
    table = Table(title=which, show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right", overflow="fold")
    table.add_row("model", state["fingerprint"])
    table.add_row("plan", state["plan_fingerprint"])
    table.add_row("sequence", f"{state['sequence']:,}")
    table.add_row("updates", f"{state['steps']:,}")
    if state["prototypes"] is not None:
        size = f"{len(state['prototypes'])} x {state['embedding_elements']}"
        table.add_row("prototypes", f"{size} ({state['prototype_bytes']:,} B)")
        table.add_row("samples enrolled", ", ".join(map(str, state["prototypes"])))
    table.add_row("trained rows", f"{state['rows_bytes']:,} B")
    table.add_row("whole", f"{state['bytes']:,} B")
    return table


def state_layers_table(state: Mapping[str, Any]) -> Table:
    """What a saved state has trained; state: as for :func:`state_table`."""
    table = Table(title="trained")
    table.add_column("layer", overflow="fold")
    table.add_column("channels", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("rows", justify="right")
    for layer in state["layers"]:
        name = layer.get("name") or f"number {layer['number']}"
        table.add_row(name, _runs(layer["channels"]), f"{len(layer['channels']):,}", f"{layer['rows_bytes']:,} B")
    return table


def _runs(channels: Sequence[int]) -> str:
    """Ascending numbers with runs drawn together: 0-3, 7."""
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][1] + 1:
            runs[-1][1] = channel
        else:
            runs.append([channel, channel])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
