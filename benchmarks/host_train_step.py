# SPDX-License-Identifier: Apache-2.0
"""Host `train_step` of a build against a compiled tf.function that does the same sparse update.

Batch 1, one thread, prototype loss on a backbone or softmax on a classifier, SGD on every layer of the last blocks:

    python benchmarks/host_train_step.py [--model MODEL.keras] [--blocks 3] [--json FILE]
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = "models/mcunet-5fps_backbone.keras"
CLASSES = 5
TEMPERATURE = 10.0
# Small enough that thousands of steps on one sample leave the numbers of a step unremarkable.
LEARNING_RATE = 1e-6
LABEL = 1
Step = Callable[[], float]


def last_blocks(model: keras.Model, count: int) -> list[str]:
    """Names of all layers with weights from the last `count` blocks ("b<number>_...") on, in order."""
    names = [layer.name for layer in model.layers if layer.weights]
    blocks = [int(match[1]) for name in names if (match := re.match(r"b(\d+)_", name))]
    if not blocks:
        raise click.ClickException(f"expected layers named b<number>_..., received {', '.join(names[:3])}, ...")
    first = max(blocks) - count + 1
    start = next(index for index, name in enumerate(names) if name.startswith(f"b{first}_"))
    return names[start:]


def tensorflow_step(
    model: keras.Model, names: list[str], x: np.ndarray, support: np.ndarray, classifier: bool, jit: bool
) -> Step:
    """A compiled step on float32 variables: forward, gradients of the named layers alone, SGD in place."""
    import keras
    import tensorflow as tf

    # A copy, as the step trains the variables it is given.
    original, model = model, keras.models.clone_model(model)
    model.set_weights(original.get_weights())
    trained = [weight.value for name in names for weight in model.get_layer(name).weights]
    prototypes = None
    if not classifier:
        prototypes = tf.linalg.l2_normalize(tf.stack([model(sample[None])[0] for sample in support]), axis=1)

    @tf.function(jit_compile=jit)
    def step(sample: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)
            logits = model(sample, training=False)
            if prototypes is not None:
                cosines = tf.linalg.matmul(tf.linalg.l2_normalize(logits, axis=1), prototypes, transpose_b=True)
                logits = TEMPERATURE * cosines
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)[0]
        for variable, gradient in zip(trained, tape.gradient(loss, trained), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
        return loss

    sample, label = tf.constant(x[None]), tf.constant([LABEL])
    return lambda: float(step(sample, label))


def build_step(board, x: np.ndarray, support: np.ndarray, classifier: bool) -> Step:
    """The same step on a simulated board."""
    if not classifier:
        for label, sample in enumerate(support):
            board.enroll(sample, label)
    return lambda: board.train_step(x, LABEL)


def measure(steps: dict[str, Step], rounds: int, steps_a_round: int) -> dict[str, list[float]]:
    """Seconds of every single step. Rounds alternate between the programs, so that all meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            for _ in range(steps_a_round):
                start = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def show(model: Path, names: list[str], figures: dict) -> None:
    console = Console()
    console.print(f"One train step of {model.stem}, {len(names)} layers from {names[0]} on, batch 1, one thread")
    table = Table()
    table.add_column("program")
    for heading in ("median ms", "fastest ms", "first loss"):
        table.add_column(heading, justify="right")
    for name, entry in figures["programs"].items():
        table.add_row(name, f"{entry['median_ms']:.2f}", f"{entry['fastest_ms']:.2f}", f"{entry['first_loss']:.5f}")
    console.print(table)
    console.print(f"fastest tf.function / tt-tflm host, medians: [bold]{figures['ratio']:.2f}[/bold]")


@click.command()
@click.option("--model", "model_path", type=click.Path(path_type=Path), help=f"Default: $TT_DATA/{DEFAULT_MODEL}.")
@click.option("--blocks", default=3, show_default=True, type=click.IntRange(1), help="Train the last N blocks.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=20, show_default=True, type=click.IntRange(1), help="Steps of a program in a round.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the same figures to a file.")
def main(model_path: Path | None, blocks: int, rounds: int, steps: int, json_path: Path | None) -> None:
    """Compare a host train step with TensorFlow's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if model_path is None:
        if "TT_DATA" not in os.environ:
            raise click.UsageError("expected --model MODEL.keras or TT_DATA to be set, received neither")
        model_path = Path(os.environ["TT_DATA"]) / DEFAULT_MODEL
    from tt_tflm.frontend.quiet import import_tensorflow

    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    import tt_tflm

    model = keras.saving.load_model(model_path)
    names = last_blocks(model, blocks)
    classifier = isinstance(model.layers[-1], keras.layers.Dense)
    support = np.random.default_rng(0).uniform(-1, 1, (CLASSES, *model.input_shape[1:])).astype(np.float32)
    x = support[0] * np.float32(0.9)
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.loss = tt_tflm.SoftmaxLoss() if classifier else tt_tflm.PrototypeLoss(CLASSES, TEMPERATURE)
    converter.optimizer = tt_tflm.SGD(learning_rate=LEARNING_RATE)
    converter.plan = tt_tflm.UpdatePlan(layers=dict.fromkeys(names, "all"))
    with converter.convert().simulate(device="host") as board:
        programs = {
            "tf.function": tensorflow_step(model, names, x, support, classifier, jit=False),
            "tf.function, XLA": tensorflow_step(model, names, x, support, classifier, jit=True),
            "tt-tflm host": build_step(board, x, support, classifier),
        }
        first_losses = {name: step() for name, step in programs.items()}
        if not np.allclose(list(first_losses.values()), first_losses["tf.function"], rtol=1e-3):
            raise click.ClickException(f"expected the same first loss from all programs, received {first_losses}")
        seconds = measure(programs, rounds, steps)
    figures = {
        "schema_version": 1,
        "model": model_path.stem,
        "layers": names,
        "programs": {
            name: {
                "median_ms": 1e3 * statistics.median(values),
                "fastest_ms": 1e3 * min(values),
                "first_loss": first_losses[name],
            }
            for name, values in seconds.items()
        },
    }
    medians = {name: entry["median_ms"] for name, entry in figures["programs"].items()}
    ours = medians.pop("tt-tflm host")
    figures["ratio"] = min(medians.values()) / ours
    show(model_path, names, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
