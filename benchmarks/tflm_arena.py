# SPDX-License-Identifier: Apache-2.0
"""TFLM's arena for the training model of the mcunet-5fps backbone, beside the C backend's memory.

    TT_DATA=... python -m benchmarks.tflm_arena

The figures of TFLM are its own, from the tflite-micro wheel on a 64-bit host, where its structures take twice what they
take on a 32-bit core. Both backends keep the trained rows: TFLM in variable tensors inside its arena, the C backend in
the row pool. The image lies inside TFLM's arena; the C backend leaves it to the caller. Exits with 1 if TFLM's arena
without the trained rows is more than 1.25 times the C backend's arena.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

LIMIT = 1.25
_LAST_BLOCKS = 3


def builds(folder: Path) -> dict[str, Any]:
    """The builds of both backends, trained in the last three blocks."""
    import tt_tflm
    from benchmarks.host_train_step import last_blocks
    from tt_tflm.frontend.loaders import load_keras

    model = load_keras(folder / "models" / "mcunet-5fps_backbone.keras")
    made = {}
    for backend in ("c", "tflm"):
        converter = tt_tflm.TrainableConverter.from_keras_model(model)
        converter.loss = tt_tflm.PrototypeLoss(5)
        converter.plan = tt_tflm.UpdatePlan(layers=dict.fromkeys(last_blocks(model, _LAST_BLOCKS), "all"))
        converter.backend = backend
        made[backend] = converter.convert()
    return made


def figures(made: dict[str, Any]) -> dict[str, int]:
    """Bytes of every part."""
    from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter

    c = made["c"].report_data
    arena = TflmInterpreter(made["tflm"].models["train.tflite"]).arena
    rows = c["row_pool_bytes"]
    return {
        "C: arena": c["arena_bytes"],
        "C: arena and image": c["arena_bytes"] + c["input_bytes"],
        "C: arena, row pool, session": c["ram_bytes"],
        "C: arena, row pool, session, image": c["ram_bytes"] + c["input_bytes"],
        "TFLM: tensors and scratch (image inside)": arena.head,
        "TFLM: lasting structures": arena.tail - rows,
        "TFLM: trained rows and prototypes": rows,
        "TFLM: arena without trained rows": arena.total - rows,
        "TFLM: arena": arena.total,
    }


def main() -> int:
    """Prints the table; the exit status."""
    from rich.console import Console
    from rich.table import Table

    folder = os.environ.get("TT_DATA")
    if not folder:
        print("expected TT_DATA to name the folder of models, received nothing", file=sys.stderr)
        return 2
    found = figures(builds(Path(folder)))
    table = Table(title="mcunet-5fps backbone, last three blocks trained, SGD", title_justify="left")
    table.add_column("memory")
    table.add_column("bytes", justify="right")
    for name, size in found.items():
        table.add_row(name, f"{size:,}")
    Console().print(table)
    ratio = found["TFLM: arena without trained rows"] / found["C: arena"]
    whole = found["TFLM: arena"] / found["C: arena, row pool, session"]
    print(f"TFLM's arena without trained rows: {ratio:.3f} times the C backend's arena (limit {LIMIT})")
    print(f"TFLM's arena: {whole:.3f} times the C backend's arena, row pool and session")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
