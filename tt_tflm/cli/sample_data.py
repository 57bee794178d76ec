# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm sample-data`."""

from __future__ import annotations

from pathlib import Path

import click

from tt_tflm.cli import terminal
from tt_tflm.files.new_folder import check_new_folder


@click.command("sample-data")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--seed", type=terminal.Count(0), default=0, show_default=True, help="Of the digits in the episode.")
def sample_data(folder: Path, seed: int) -> None:
    """Write data to try things with to FOLDER: handwritten digits as an episode and as labelled images.

    They are scikit-learn's: pip install 'tt-tflm[demo]'.
    """
    from tt_tflm.meta.sample_data import EPISODE, IMAGES, write_sample_data

    check_new_folder(folder)
    write_sample_data(folder, seed)
    click.echo(f"{folder / EPISODE}: five digits, five samples of each to learn from, fifteen to be judged by")
    click.echo(f"{folder / IMAGES}: all digits, labelled")
