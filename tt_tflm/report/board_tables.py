# SPDX-License-Identifier: Apache-2.0
"""What a board at a serial line is and has learned, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tt_tflm.boards.board_episode import EpisodeResult
    from tt_tflm.boards.serial import BoardStatus


def board_table(about: BoardStatus, port: str, result: EpisodeResult) -> Table:
    """What learning an episode brought."""
    table = Table(title=f"model {about.fingerprint} at {escape(port)}", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right", overflow="fold")
    if result.accuracy_before is not None:
        table.add_row("accuracy before", f"{result.accuracy_before:.1%}")
    table.add_row("accuracy after", f"{result.accuracy_after:.1%}")
    if result.losses:
        table.add_row("iterations", f"{len(result.losses):,}")
        table.add_row("loss, first to last iteration", f"{result.losses[0]:.4f} to {result.losses[-1]:.4f}")
    if result.state_bytes is not None:
        table.add_row("saved", f"{result.state_bytes:,} B")
    return table


def board_figures(about: BoardStatus, result: EpisodeResult) -> dict[str, Any]:
    """The same figures for a JSON file."""
    return {
        "fingerprint": about.fingerprint,
        "mode": about.mode,
        "accuracy_before": result.accuracy_before,
        "accuracy_after": result.accuracy_after,
        "losses": list(result.losses),
        "state_bytes": result.state_bytes,
    }
