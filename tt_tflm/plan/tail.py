# SPDX-License-Identifier: Apache-2.0
"""The cost table of a tail of the network, read off the program that serves every plan over it."""

from __future__ import annotations

from collections.abc import Sequence

import tvm
from tvm import relax

from tt_tflm.frontend.layers import Layer
from tt_tflm.plan.cost import row_copies
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, SavedTensor
from tvm_passes import macs
from tvm_passes.attach_loss import AttachLoss
from tvm_passes.choice import Trained
from tvm_passes.guards import guards
from tvm_passes.kernel import AT_RUN_TIME, LOSS, Step, int8_row_bytes, steps_of
from tvm_passes.kernels.elementwise import MASK_BITS
from tvm_passes.ops import WEIGHTED
from tvm_passes.sparse_gradient import SparseGradient, layer_of, uses_of
from tvm_passes.specs import LossSpec, OptimizerSpec
from tvm_passes.update_in_place import UpdateInPlace

_FLOAT = _WORD = 4
_CLIP_GRADIENTS = ("clip_grad", "mask_grad")


def tail_optimizer(module: tvm.IRModule, candidates: Sequence[int], optimizer: OptimizerSpec) -> OptimizerSpec:
    """The optimiser as a program has it that serves any plan over ``candidates``: with one among them that is used in
    several places, plain SGD keeps gradients, since no buffer of the arena could hold those of channels that nobody
    knows yet.

    Args:
        module: canonical.
        candidates: numbers of the layers that may be trained.
        optimizer: as asked for, with ``at_run_time``.
    """
    uses = uses_of(steps_of(module, "predict")[0])
    return optimizer.keeping_gradients() if any(uses[i] > 1 for i in candidates) else optimizer


def tail_table(
    module: tvm.IRModule,
    loss: LossSpec,
    layers: Sequence[Layer],
    candidates: Sequence[int],
    optimizer: OptimizerSpec,
    fixed_ram_bytes: int,
    backward_macs_full: int,
    *,
    biases_alone: bool = False,
) -> CostTable:
    """The cost of any plan over ``candidates``.

    Args:
        module: canonical.
        loss: which loss.
        layers: of the model, in the order of its ``rows_<n>``.
        candidates: numbers of the layers that may be trained, ascending; boards choose among at most 64.
        optimizer: which optimiser; its moments and gradients are part of a row's bytes. One that fuses its updates is
            costed as static builds have it (``cost.row_copies``) where a candidate is used in several places.
        fixed_ram_bytes: see ``CostTable``.
        backward_macs_full: see ``CostTable``.
        biases_alone: cost plans that train the biases of channels and leave their weights, see ``wish.combine``.
    """

    served = tail_optimizer(module, candidates, optimizer)
    uses = uses_of(steps_of(module, "predict")[0])

    def steps_with(weights: bool) -> list[Step]:
        trained = {i: Trained(AT_RUN_TIME, layers[i].bias, weights) for i in candidates}
        program = UpdateInPlace(served)(SparseGradient(trained)(AttachLoss(loss)(module)))
        return steps_of(program, "train_step")[0]

    steps = steps_with(not biases_alone)
    trainable = [layers[i].bias or not biases_alone for i in candidates]
    masks = guards(steps, {layer: int(trainable[bit]) << bit for bit, layer in enumerate(candidates)})
    copies = {i: row_copies(optimizer, shared=uses[i] > 1) for i in candidates}
    shadows = {layer_of(step): int8_row_bytes(step.kernel) for step in steps if step.kernel.op in WEIGHTED}
    entries = tuple(
        Candidate(
            layers[i].name,
            layers[i].channels,
            layers[i].parameters,
            layers[i].forward_macs,
            int(layers[i].bias) + (0 if biases_alone else layers[i].row_length),
            _FLOAT * layers[i].stride * copies[i] + shadows.get(i, 0),
            0 if biases_alone else layers[i].forward_macs // layers[i].channels,
        )
        for i in candidates
    )
    backward = _backward(steps, masks)
    items = tuple(
        MacItem(macs.nominal(step.kernel), guard)
        for step, guard in backward
        if not _is_weight_gradient(step) and macs.nominal(step.kernel)
    )
    saved = _saved(steps, backward)
    # Tables that are combined list the same tensors: those that training whole rows reads.
    whole = steps_with(weights=True) if biases_alone else steps
    listed = _saved(whole, _backward(whole, [1] * len(whole))) if biases_alone else saved
    tensors = tuple(t for t, entry in zip(saved, listed, strict=True) if entry.full_guard or entry.mask_guard)
    return CostTable(entries, tensors, items, fixed_ram_bytes, backward_macs_full)


def _backward(steps: Sequence[Step], masks: Sequence[int]) -> list[tuple[Step, int]]:
    """The steps after the loss, with their guards."""
    first = 1 + next(i for i, step in enumerate(steps) if step.kernel.op == LOSS)
    return list(zip(steps[first:], masks[first:], strict=True))


def _is_weight_gradient(step: Step) -> bool:
    return layer_of(step) is not None and step.kernel.has("d")


def _saved(steps: Sequence[Step], backward: Sequence[tuple[Step, int]]) -> list[SavedTensor]:
    """All forward tensors, with who reads them in backward: a gradient through a clip is content with one bit per
    element."""
    forward = steps[: len(steps) - len(backward) - 1]
    sources = {step.var: step.args[0] for step in forward if step.kernel.op == "clip_mask"}
    tensors = {step.var: step.kernel.params[-1] for step in forward if step.kernel.op != "clip_mask"}
    full: dict[relax.Expr, int] = {}
    mask: dict[relax.Expr, int] = {}
    for step, guard in backward:
        for position, argument in enumerate(step.args):
            tensor = sources.get(argument, argument)
            if tensor in tensors:
                kind = mask if step.kernel.op in _CLIP_GRADIENTS and position == 1 else full
                kind[tensor] = kind.get(tensor, 0) | guard
    return [
        SavedTensor(out.bytes, full.get(tensor, 0), _WORD * -(-out.elements // MASK_BITS), mask.get(tensor, 0))
        for tensor, out in tensors.items()
    ]
