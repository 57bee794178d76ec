# SPDX-License-Identifier: Apache-2.0
"""Tables of update plans: what they train, and what that spends of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_LIMITS = (
    ("training_memory_bytes", "training memory", " B"),
    ("ram_bytes", "RAM", " B"),
    ("backward_macs", "backward MACs", ""),
)


def plan_table(plan: Mapping[str, Any], channels: Mapping[str, int]) -> Table:
    """What a plan trains.

    Args:
        plan: content of plan.json.
        channels: layer name -> number of output channels.
    """
    table = Table(title=f"plan: {plan['strategy']}")
    table.add_column("layer", overflow="fold")
    table.add_column("channels", justify="right")
    for name, layer in plan["layers"].items():
        count = channels[name] if layer["channels"] == "all" else len(layer["channels"])
        part = "" if layer.get("weights", True) else "biases of "
        table.add_row(name, f"{part}{count:,} of {channels[name]:,}")
    return table


def spending_table(plan: Mapping[str, Any]) -> Table:
    """What a plan spends of its budget; plan: content of plan.json with ``spent``."""
    table = Table()
    table.add_column("figure")
    table.add_column("spent", justify="right")
    table.add_column("budget", justify="right")
    for key, label, unit in _LIMITS:
        table.add_row(label, f"{plan['spent'][key]:,}{unit}", _limit(plan["budget"], key, unit))
    table.add_row("updated parameters", f"{plan['spent']['updated_parameters']:,}", "")
    return table


def choice_table(choice: Mapping[str, Any]) -> Table:
    """What a board chooses from, and its budget; choice: that of simulation.json."""
    table = Table(title="chosen on the board", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right", overflow="fold")
    candidates = choice["candidates"]
    table.add_row("inspected layers", f"{len(candidates):,}")
    table.add_row("  from", candidates[0]["layer"])
    table.add_row("  channels", f"{sum(c['channels'] for c in candidates):,}")
    for key, label, unit in _LIMITS:
        table.add_row(f"budget of {label}", _limit(choice["budget"], key, unit))
    return table


def _limit(budget: Mapping[str, Any], key: str, unit: str) -> str:
    limit = budget.get(key)
    return "no limit" if limit is None else f"{limit:,}{unit}"
