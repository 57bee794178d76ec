# SPDX-License-Identifier: Apache-2.0
"""One dynamic build adapts to episodes of several domains, on the host and on Cortex-M7 in QEMU: plans and accuracies.

    python benchmarks/dynamic_domains.py [--data FOLDER] [--episode omniglot_dev00 ...] [--iterations N] [--queries N]

Stops with exit code 1 where the boards differ in a plan or an accuracy. An iteration of mcunet-5fps takes a board of
350 million instructions a second about 15 seconds.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

DEVICES = ("host", "cortex-m7")
DEFAULT_EPISODES = ("omniglot_dev00", "cifar10_dev00")
TAIL = 18
LEARNING_RATE = 0.003


@click.command()
@click.option("--data", type=click.Path(path_type=Path), envvar="TT_DATA", required=True, help="Or TT_DATA.")
@click.option("--episode", "episodes", multiple=True, default=DEFAULT_EPISODES, show_default=True)
@click.option("--iterations", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--queries", type=click.IntRange(1), default=15, show_default=True, help="Evenly spread over the episode."
)
def main(data: Path, episodes: tuple[str, ...], iterations: int, queries: int) -> None:
    """Print what one build does on both boards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tt_tflm
    from tt_tflm.boards.episode import load_episode

    converter = tt_tflm.TrainableConverter.from_keras_file(data / "models" / "mcunet-5fps_metatrained_backbone.keras")
    converter.target, converter.mode, converter.tail = "cortex-m7", "dynamic", TAIL
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(), tt_tflm.Adam(learning_rate=LEARNING_RATE)
    converter.budget = tt_tflm.Budget(training_memory="1MB", backward_macs=0.15)
    build = converter.convert()
    table = Table("episode", "device", "before", "after", "trained channels", "shared with first", title="One build")
    first: set[tuple[str, int]] = set()
    differ = False
    for name in episodes:
        whole = load_episode(data / "examples" / f"{name}.npz", converter.input_shape, converter.input_scaling)
        step = max(1, len(whole.query_x) // queries)
        episode = replace(whole, query_x=whole.query_x[::step], query_y=whole.query_y[::step])
        seen = []
        for device in DEVICES:
            with build.simulate(device) as board:
                for x, label in zip(episode.support_x, episode.support_y, strict=True):
                    board.enroll(x, int(label))
                before = _right(board, episode)
                plan = board.adapt(episode.support_x, episode.support_y, iterations=iterations).plan
                after = _right(board, episode)
            chosen = {(layer, channel) for layer, (channels, *_) in plan.layers.items() for channel in channels}
            first = first or chosen
            seen.append((before, after, chosen))
            total = len(episode.query_x)
            shared = f"{len(chosen & first)}"
            table.add_row(name, device, f"{before}/{total}", f"{after}/{total}", str(len(chosen)), shared)
        differ = differ or seen[0] != seen[1]
    Console().print(table)
    if differ:
        sys.exit("the boards differ")


def _right(board, episode) -> int:
    return sum(int(board.predict(x).argmax()) == int(y) for x, y in zip(episode.query_x, episode.query_y, strict=True))


if __name__ == "__main__":
    main()
