# SPDX-License-Identifier: Apache-2.0
"""What training costs, read off the training program itself: the one cost model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import tvm
from tvm import relax

from tvm_passes import macs
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.kernel import LOSS, Step, int8_row_bytes, row_length, steps_of
from tvm_passes.ops import WEIGHTED
from tvm_passes.plan_arena import PlannedFunction
from tvm_passes.sparse_gradient import SparseGradient, layer_of
from tvm_passes.specs import LossSpec, OptimizerSpec


@dataclass(frozen=True)
class Cost:
    """Cost of one train step beside its forward pass.

    Args:
        backward_macs: multiply-accumulates, padding taps included.
        updated_parameters: weights and biases that change.
        saved_bytes: activations and masks that the forward pass keeps for backward.
        training_bytes: the paper's training memory: updated rows (with their int8 shadows), gradient buffers,
            optimiser moments and what is saved.
    """

    backward_macs: int
    updated_parameters: int
    saved_bytes: int
    training_bytes: int


def cost_of_training(
    module: tvm.IRModule, loss: LossSpec, trained: Mapping[int, Trained], optimizer: OptimizerSpec
) -> Cost:
    """The cost of training those layers of a canonical module."""
    program = SparseGradient(trained)(AttachLoss(loss)(module))
    steps, _ = steps_of(program, "train_step")
    loss_at = next(i for i, step in enumerate(steps) if step.kernel.op == LOSS)
    backward = steps[loss_at + 1 :]
    saved = _saved_bytes(steps[:loss_at], backward)
    # A layer that is used in several places has one gradient, and rows and a shadow only once.
    gradients = {layer_of(s): s for s in backward if s.kernel.has("d")}
    uses = Counter(layer_of(s) for s in backward if s.kernel.has("d"))
    weighted = {layer_of(s): s for s in steps[:loss_at] if s.kernel.op in WEIGHTED and layer_of(s) in trained}
    updated = sum(trained[layer].channels * _row_elements(s, trained) for layer, s in gradients.items())
    shadows = sum(trained[layer].channels * int8_row_bytes(s.kernel) for layer, s in weighted.items())
    rows = sum(
        row_copies(optimizer, shared=uses[layer] > 1) * s.kernel.param("d").bytes for layer, s in gradients.items()
    )
    return Cost(sum(macs.nominal(s.kernel) for s in backward), updated, saved, rows + shadows + saved)


def row_copies(optimizer: OptimizerSpec, *, shared: bool) -> int:
    """How often a static build holds what is trained of a layer: its rows, moments and gradient.

    Args:
        optimizer: which optimiser.
        shared: whether the layer is used in several places, so that its gradient is summed before rows change.
    """
    in_arena = not optimizer.accumulates and (shared or not optimizer.fused)
    return 1 + len(optimizer.state) + int(in_arena)


def function_macs(function: PlannedFunction) -> dict[str, dict[str, int]]:
    """Multiply-accumulates of a planned function: forward and backward, each nominal and executed."""
    cut = next((i for i, c in enumerate(function.calls) if c.kernel.op == LOSS), len(function.calls))
    parts = {"forward": function.calls[:cut], "backward": function.calls[cut:]}
    return {
        name: {
            "nominal": sum(macs.nominal(c.kernel) for c in calls),
            "executed": sum(macs.executed(c.kernel) for c in calls),
        }
        for name, calls in parts.items()
    }


def _row_elements(step: Step, trained: Mapping[int, Trained]) -> int:
    choice = trained[layer_of(step)]
    return row_length(step.kernel) * int(choice.weights) + int(choice.bias)


def _saved_bytes(forward: list[Step], backward: list[Step]) -> int:
    read = {a for step in backward for a in step.args if isinstance(a, relax.Var)}
    return sum(step.kernel.params[-1].bytes for step in forward if step.var in read)
