# SPDX-License-Identifier: Apache-2.0
"""`tt-tflm board`: a board at a serial line learns an episode."""

from __future__ import annotations

from pathlib import Path

import click

from tt_tflm.cli import options, terminal


@click.command()
@click.argument("port", metavar="PORT")
@options.episode_option
@click.option("--iterations", type=terminal.Count(0), default=40, show_default=True, help="Updates; see simulate.")
@click.option("--baudrate", type=terminal.Count(1), default=115200, show_default=True, help="As the firmware sets it.")
@click.option("--gradient", type=terminal.OneOf(options.GRADIENT_NAMES), default="exact", show_default=True)
@click.option("--flip", is_flag=True, help="Pseudo-queries may be mirrored: left and right mean the same.")
@click.option("--seed", type=terminal.Count(0), default=0, show_default=True, help="Of the pseudo-queries.")
@click.option("--save", is_flag=True, help="Have the board save what it has learned.")
@click.option(
    "--limit",
    type=terminal.Positive(),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest that one request of the board may take in all, an uploaded sample included (limit_s).",
)
@click.option(
    "--adapt-limit",
    type=terminal.Positive(),
    default=86400.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest that the board may learn (adapt_limit_s).",
)
@options.build_scaling_option
@options.json_option
def board(
    port: str,
    episode_path: Path,
    iterations: int,
    baudrate: int,
    gradient: str,
    flip: bool,
    seed: int,
    save: bool,
    limit: float,
    adapt_limit: float,
    input_scaling: tuple[float, float] | None,
    json_path: Path | None,
) -> None:
    """Have the board at the serial PORT, which runs the console, learn an episode; it forgets what it knew before."""
    from tt_tflm import report

    with terminal.stages(f"opening {port}") as stage:
        import tt_tflm
        from tt_tflm.boards.board_episode import judge, load_for

        with tt_tflm.Board(port, baudrate=baudrate, limit_s=limit, adapt_limit_s=adapt_limit) as device:
            about = device.status()
            episode = load_for(about, episode_path, input_scaling)
            result = judge(
                device, episode, iterations, stage.advance, gradient=gradient, flip=flip, seed=seed, save=save
            )
    terminal.show(report.board_table(about, port, result))
    if json_path:
        report.write_json(json_path, {"schema_version": 1, "port": port, **report.board_figures(about, result)})
