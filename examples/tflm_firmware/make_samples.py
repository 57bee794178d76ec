# SPDX-License-Identifier: Apache-2.0
"""Write the samples that the firmware trains with: python make_samples.py train.tflite samples.bin [episode.npz]."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import tflite

from tt_tflm.boards.episode import load_episode
from tt_tflm.tflite.op_params import Command


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("samples", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("episode", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--steps", default=10, show_default=True, type=click.IntRange(1), help="Training steps.")
def main(model: Path, samples: Path, episode: Path | None, steps: int) -> None:
    """Write SAMPLES for MODEL, from the support set of EPISODE or, without one, from a random generator.

    A model with prototypes enrols each sample once, then trains with them in turn. The file holds little-endian 32-bit
    words: how many samples, how many floats of each; then a command, a label and the floats of every sample.
    """
    shapes = tensor_shapes(model.read_bytes())
    shape, classes = shapes["x"], int(np.prod(shapes["scores"]))
    if episode is None:
        rng = np.random.default_rng(0)
        labels = np.arange(2 * classes) % classes
        xs = rng.standard_normal((len(labels), *shape[1:])).astype(np.float32)
    else:
        loaded = load_episode(episode, shape[1:])
        xs, labels = loaded.support_x.astype(np.float32), loaded.support_y
    enrolled = [(Command.ENROLL, i) for i in range(len(xs))] if "sums" in shapes else []
    trained = [(Command.TRAIN, i % len(xs)) for i in range(steps)]
    with samples.open("wb") as file:
        file.write(np.array([len(enrolled) + len(trained), xs[0].size], "<i4").tobytes())
        for command, i in enrolled + trained:
            file.write(np.array([command, labels[i]], "<i4").tobytes() + xs[i].astype("<f4").tobytes())
    click.echo(f"{len(enrolled)} samples to enrol and {len(trained)} training steps in {samples}")


def tensor_shapes(content: bytes) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs and outputs of a model by name."""
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    numbers = [*graph.InputsAsNumpy(), *graph.OutputsAsNumpy()]
    tensors = [graph.Tensors(int(number)) for number in numbers]
    return {tensor.Name().decode(): tuple(int(d) for d in tensor.ShapeAsNumpy()) for tensor in tensors}


if __name__ == "__main__":
    main()
