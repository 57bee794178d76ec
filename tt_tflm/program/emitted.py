# SPDX-License-Identifier: Apache-2.0
"""What emitters are given of a planned program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm

from tt_tflm.plan.cost_table import CostTable
from tt_tflm.program.layout.int8_layer import Int8Layer
from tt_tflm.program.layout.row_pool import RowPool
from tvm_passes.specs import LossSpec, OptimizerSpec

SYMBOL = "tt_model"


@dataclass(frozen=True)
class EmittedLayer:
    """A layer as the emitter needs it: name, rows float32 (channels, stride), chosen channels (empty when frozen), and
    its codes where the forward pass is int8."""

    name: str
    rows: np.ndarray
    channels: tuple[int, ...] = ()
    int8: Int8Layer | None = None


@dataclass(frozen=True)
class BoardChoice:
    """What a build needs that chooses its plan on the board.

    Args:
        candidates: numbers of the layers that may be trained, in the order of the cost table.
        table: cost of any plan over them; its ``fixed_ram_bytes`` is everything but ``rows_bytes``.
        rows_bytes: room for trained rows, gradients and moments.
        share: of a layer's channels that selection aims at first.
    """

    candidates: tuple[int, ...]
    table: CostTable
    rows_bytes: int
    share: float


@dataclass(frozen=True)
class EmittedModel:
    """What sources and models are made from.

    Args:
        name: for comments.
        fingerprint: identifies architecture and base weights.
        module: the planned module (``tvm_passes.pipeline.training_program``).
        layers: in the order of the module's ``rows_<n>`` parameters.
        input_shape: of one sample, without the batch.
        loss: as given to the passes.
        temperature: factor on cosines to prototypes; None where the loss has none.
        optimizer: as given to the passes.
        learning_rate: of the optimiser.
        row_pool: layout of the persistent memory.
        choice: for builds that choose on the board; None where the plan is fixed.
        input_scaling: (scale, shift) from a pixel of 0..255 to the model's input.
        limits: what the board chooses under: training memory and RAM in bytes, backward MACs; None for no limit.
        symbol: what everything of the build is called in C: ``<symbol>.h``, its ``tt_model_t``, prefix of the rest.
    """

    name: str
    fingerprint: str
    module: tvm.IRModule
    layers: Sequence[EmittedLayer]
    input_shape: tuple[int, ...]
    loss: LossSpec
    temperature: float | None
    optimizer: OptimizerSpec
    learning_rate: float
    row_pool: RowPool
    choice: BoardChoice | None = None
    input_scaling: tuple[float, float] = (1 / 127.5, -1.0)
    limits: tuple[int | None, int | None, int | None] = (None, None, None)
    symbol: str = SYMBOL

    @property
    def classes(self) -> int:
        """Length of the scores."""
        return self.loss.classes

    @property
    def trained(self) -> tuple[int, ...]:
        """Numbers of the layers that are, or may be, trained, ascending."""
        if self.choice is not None:
            return tuple(self.choice.candidates)
        return tuple(i for i, layer in enumerate(self.layers) if layer.channels)

    @property
    def int8(self) -> bool:
        """Whether the forward pass is integer arithmetic."""
        return any(layer.int8 is not None for layer in self.layers)

    @property
    def adaptable(self) -> bool:
        """Whether the build has ``tt_adapt``: prototypes, and gradients that can be accumulated over an episode."""
        return self.loss.prototypes and self.optimizer.accumulates
