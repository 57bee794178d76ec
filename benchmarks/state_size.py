# SPDX-License-Identifier: Apache-2.0
"""Size of the state that a board saves after TinyTrain's selection on an episode, over what has to be in it: the
trained parameters (weights and biases, four bytes each) and the prototypes.

    python benchmarks/state_size.py [--model MODEL.keras] [--episode EPISODE.npz] [--json FILE]

Exit code 1 when the state is more than 1.05 times as large.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
DEFAULT_EPISODE = "examples/gtsrb_dev00.npz"
LIMIT = 1.05
TAIL = 18


def measure(model: Path, episode_path: Path, training_memory: str, backward_macs: str, classes: int) -> dict[str, Any]:
    """Selects on the host board, saves, and compares."""
    import tt_tflm
    from tt_tflm.boards.episode import load_episode
    from tt_tflm.state.personalisation import Personalisation

    converter = tt_tflm.TrainableConverter.from_keras_file(model)
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=classes), tt_tflm.Adam(0.003)
    converter.mode, converter.tail = "dynamic", TAIL
    converter.budget = tt_tflm.Budget(training_memory, backward_macs=backward_macs)
    build = converter.convert()
    episode = load_episode(episode_path, converter.input_shape, converter.input_scaling)
    chosen = [i for i, label in enumerate(episode.support_y) if label < classes]
    with build.simulate() as board:
        for i in chosen:
            board.enroll(episode.support_x[i], int(episode.support_y[i]))
        for i in chosen:
            board.fisher_accumulate(episode.support_x[i], int(episode.support_y[i]))
        board.select()
        state = Personalisation.from_bytes(board.save())
    layers = dict(enumerate(build.layers))
    parameters = sum(
        len(saved.channels) * (layers[saved.number].row_length + int(layers[saved.number].bias))
        for saved in state.layers
    )
    prototypes = state.sums.nbytes
    size, needed = len(state.to_bytes()), 4 * parameters + prototypes
    return {
        "schema_version": 1,
        "model": build.report_data["model"],
        "layers": sum(bool(saved.channels) for saved in state.layers),
        "channels": sum(len(saved.channels) for saved in state.layers),
        "parameters": parameters,
        "rows_bytes": state.rows_bytes,
        "prototypes": list(state.sums.shape),
        "needed_bytes": needed,
        "state_bytes": size,
        "ratio": size / needed,
        "ratio_to_stored_rows": size / (state.rows_bytes + prototypes),
        "limit": LIMIT,
    }


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help=f"[default: $TT_DATA/{DEFAULT_MODEL}]")
@click.option("--episode", type=click.Path(path_type=Path), help=f"[default: $TT_DATA/{DEFAULT_EPISODE}]")
@click.option("--training-memory", default="0.89MB", show_default=True)
@click.option("--backward-macs", default="6.51M", show_default=True)
@click.option("--classes", default=5, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(
    model: Path | None,
    episode: Path | None,
    training_memory: str,
    backward_macs: str,
    classes: int,
    json_path: Path | None,
) -> None:
    """Print the size of a saved state."""
    data = Path(os.environ.get("TT_DATA", "."))
    figures = measure(
        model or data / DEFAULT_MODEL, episode or data / DEFAULT_EPISODE, training_memory, backward_macs, classes
    )
    table = Table(title=f"saved state of {figures['model']}", show_header=False)
    table.add_row("layers, channels", f"{figures['layers']}, {figures['channels']}")
    table.add_row("trained parameters", f"{figures['parameters']:,}")
    table.add_row("rows as stored", f"{figures['rows_bytes']:,} B")
    table.add_row("prototypes", " x ".join(map(str, figures["prototypes"])))
    table.add_row("parameters and prototypes", f"{figures['needed_bytes']:,} B")
    table.add_row("saved state", f"{figures['state_bytes']:,} B")
    table.add_row(f"ratio (at most {LIMIT})", f"{figures['ratio']:.4f}")
    table.add_row("ratio to rows as stored and prototypes", f"{figures['ratio_to_stored_rows']:.4f}")
    Console().print(table)
    if json_path:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    if figures["ratio"] > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
