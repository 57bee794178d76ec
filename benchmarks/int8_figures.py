# SPDX-License-Identifier: Apache-2.0
"""What int8 saves and costs: memory and instructions of a model on an emulated core, beside float32.

    python -m benchmarks.int8_figures [--model FILE] [--target cortex-m7]

Two builds of the model, by default the one that comes with the package, of whose last six layers every fourth channel
is trained by Adam with the prototype loss. The samples are noise: none of these figures depends on what they show.
Exits with 1 if an embedding differs from that of TensorFlow Lite's reference kernels by a bit.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

LAYERS, EVERY = 6, 4
SAMPLES = 10


def measured(converter: Any, samples: np.ndarray) -> tuple[dict[str, int], np.ndarray]:
    """Figures of a build, and the embeddings of the samples."""
    build = converter.convert()
    report = build.report
    with build.simulate(converter.target) as board:
        embeddings = np.stack([board.embedding(x) for x in samples])
        board.enroll(samples[0], 0)
        board.train_step(samples[0], 0)
        counted = dict(board.instructions)
    return {
        "arena": report["arena_bytes"],
        "row pool": report["row_pool_bytes"],
        "RAM: arena, row pool, session": report["ram_bytes"],
        "training memory": report["training_memory_bytes"],
        "flash: weights": report["flash_bytes"]["weights"],
        "flash: code": report["flash_bytes"]["code"],
        "instructions of an embedding": counted["embedding"],
        "instructions of a train step": counted["train_step"],
    }, embeddings


def reference(content: bytes, samples: np.ndarray) -> np.ndarray:
    """The embeddings by TensorFlow Lite's reference kernels."""
    import tensorflow as tf

    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    source, target = (d[0]["index"] for d in (interpreter.get_input_details(), interpreter.get_output_details()))
    outputs = []
    for x in samples:
        interpreter.set_tensor(source, x[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target).ravel())
    return np.stack(outputs)


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help="A .keras file.  [default: the starter model]")
@click.option("--target", default="cortex-m7", show_default=True)
def main(model: Path | None, target: str) -> None:
    """Print the table."""
    import tt_tflm
    from tt_tflm.models import STARTER
    from tt_tflm.program.quantization import quantized

    path = model or STARTER
    converter = tt_tflm.TrainableConverter.from_keras_file(path)
    samples = np.random.default_rng(0).uniform(-1, 1, (SAMPLES, *converter.input_shape)).astype(np.float32)
    converter.target, converter.representative_data = target, samples
    converter.loss, converter.optimizer = tt_tflm.PrototypeLoss(classes=5), tt_tflm.Adam()
    trained = {layer.name: list(range(0, layer.channels, EVERY)) for layer in converter.layers[-LAYERS:]}
    converter.plan = tt_tflm.UpdatePlan(trained)
    columns, embeddings = {}, {}
    for precision in ("float32", "int8"):
        converter.precision = precision
        columns[precision], embeddings[precision] = measured(converter, samples)
    converter.precision = "float32"
    _, content = quantized(converter._import(), samples)
    table = Table(title=f"{path.stem}, {target}", title_justify="left")
    for name in ("", *columns, "int8 / float32"):
        table.add_column(name, justify="right" if name else "left")
    for name, value in columns["float32"].items():
        other = columns["int8"][name]
        table.add_row(name, f"{value:,}", f"{other:,}", f"{other / value:.2f}")
    Console().print(table)
    same = np.array_equal(embeddings["int8"], reference(content, samples))
    verb = "equal" if same else "differ from"
    print(f"{SAMPLES} embeddings {verb} those of TensorFlow Lite's reference kernels, bit by bit")
    sys.exit(int(not same))


if __name__ == "__main__":
    main()
