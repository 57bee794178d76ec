# SPDX-License-Identifier: Apache-2.0
"""Dynamic builds of a test's model, and plans over what they inspect."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
from oracle.boards import convert
from oracle.fixed_nets import small_embedding
from oracle.reference import Loss, Optimizer

import tt_tflm
from tt_tflm.boards.simulated.count_macs import _INSTRUMENTED, _CountingBoard
from tt_tflm.plan.cost_table import MAX_CANDIDATES, CostTable
from tt_tflm.plan.tail import tail_table
from tt_tflm.plan.update_plan import LayerPlan
from tt_tflm.program.static import ImportedModel, import_model, loss_spec

Channels = Mapping[str, tuple[int, ...]]


def ours(options: Loss | Optimizer):
    """The package's own loss or optimiser for the oracle's."""
    return getattr(tt_tflm, type(options).__name__)(**dataclasses.asdict(options))


def convert_dynamic(
    model: keras.Model,
    loss: Loss,
    optimizer: Optimizer,
    budget: tt_tflm.Budget | None = None,
    tail: int | None = None,
    target: str = "host",
) -> tt_tflm.Build:
    """A build that chooses on the board, with the oracle's loss and optimiser."""
    converter = tt_tflm.TrainableConverter.from_keras_model(model)
    converter.target = target
    converter.input_scaling = (1 / 127.5, -1.0)  # for models that rescale what they are given
    converter.loss = ours(loss)
    converter.optimizer = ours(optimizer)
    converter.mode = "dynamic"
    converter.budget = budget or tt_tflm.Budget()
    converter.tail = tail
    return converter.convert()


def convert_static(
    model: keras.Model, loss: Loss, optimizer: Optimizer, plan: Channels, target: str = "host"
) -> tt_tflm.Build:
    """The build of that plan alone."""
    return convert(model, loss, optimizer, {name: list(channels) for name, channels in plan.items()}, target)


def small_dynamic_build(optimizer: Optimizer, loss: Loss, **options) -> tt_tflm.Build:
    """A dynamic build of ``small_embedding``."""
    return convert_dynamic(small_embedding(), loss, optimizer, **options)


def inspected(build: tt_tflm.Build) -> dict[str, int]:
    """Layers that a dynamic build inspects: name -> output channels."""
    return {entry["layer"]: entry["channels"] for entry in build.simulation["choice"]["candidates"]}


def random_plan(generator: np.random.Generator, channels: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """One to four of the layers, some channels of each or all."""
    names = list(channels)
    chosen = sorted(generator.permutation(len(names))[: generator.integers(1, min(len(names), 4) + 1)])
    plan = {}
    for i in chosen:
        count = channels[names[i]]
        some = count if generator.random() < 0.3 else int(generator.integers(1, count + 1))
        plan[names[i]] = tuple(sorted(int(c) for c in generator.permutation(count)[:some]))
    return plan


def table_of(
    model: keras.Model,
    loss: Loss,
    optimizer: Optimizer,
    tail: int | None = None,
    fixed_ram_bytes: int = 0,
    *,
    biases_alone: bool = False,
) -> tuple[ImportedModel, CostTable]:
    """The cost table of the model's last ``tail`` layers (None: of as many as a table holds)."""
    imported = import_model(model)
    everything = {layer.name: LayerPlan(tuple(range(layer.channels))) for layer in imported.layers}
    full = imported.cost(everything, ours(loss), ours(optimizer)).backward_macs
    layers = len(imported.layers)
    candidates = range(layers - min(layers, tail or MAX_CANDIDATES), layers)
    spec = ours(optimizer).spec(at_run_time=True)
    return imported, tail_table(
        imported.module,
        loss_spec(imported, ours(loss)),
        imported.layers,
        candidates,
        spec,
        fixed_ram_bytes,
        full,
        biases_alone=biases_alone,
    )


@contextlib.contextmanager
def counting_board(build: tt_tflm.Build) -> Iterator[_CountingBoard]:
    """An instrumented host board whose ``counted()`` tells the multiply-accumulates so far."""
    with build._folder() as folder, _CountingBoard(build._simulation_files(Path(folder)), _INSTRUMENTED) as board:
        yield board
