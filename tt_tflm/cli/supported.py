# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm supported-ops`."""

from __future__ import annotations

from pathlib import Path

import click

from tt_tflm.cli import options, terminal


@click.command("supported-ops")
@options.json_option
def supported_ops(json_path: Path | None) -> None:
    """List the layers and operations that models may be made of, and what can be trained of them."""
    from dataclasses import asdict

    from tt_tflm import report
    from tt_tflm.frontend.supported import supported_layers

    layers = supported_layers()
    terminal.show(report.supported_table(layers))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, "layers": [asdict(layer) for layer in layers]})
