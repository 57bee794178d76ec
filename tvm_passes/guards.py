# SPDX-License-Identifier: Apache-2.0
"""Which plans need which call: dead code elimination whose outcome depends on the layers a board has chosen.

A guard is a bit mask over candidates. A call that changes what belongs to candidate i is needed by plans that choose
i; any other call is needed where a reader of its result is. ``ALWAYS`` marks the forward pass and the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm import relax

from .kernel import INOUT, LOSS, Step
from .liveness import LOCAL, root_names

ALWAYS = -1


def guards(steps: Sequence[Step], bits: Mapping[int, int]) -> list[int]:
    """The guard of every step of ``train_step`` or ``apply_update``.

    Args:
        steps: in an order that respects dependencies.
        bits: layer number -> bit (as a mask) of the candidate.
    """
    roots = root_names(steps)
    loss_at = next((i for i, step in enumerate(steps) if step.kernel.op == LOSS), -1)
    needed: dict[str, int] = {}
    result = [0] * len(steps)
    for index in reversed(range(len(steps))):
        step = steps[index]
        guard = needed.get(roots[step.var], 0)
        if index <= loss_at and step.kernel.op != "clip_mask":
            guard = ALWAYS
        for argument, param in zip(step.args, step.kernel.params, strict=False):
            if param.role == INOUT and isinstance(argument, relax.Var):
                # The gradient of a layer that is used in several places goes from one call to the next.
                parameter = "" if LOCAL in roots[argument] else roots[argument]
                layer = parameter.rpartition("_")[2]
                guard |= bits.get(int(layer), 0) if layer.isdigit() and guard != ALWAYS else 0
        if step.alias is None:
            needed.pop(roots[step.var], None)
        for argument in step.args:
            if isinstance(argument, relax.Var):
                needed[roots[argument]] = needed.get(roots[argument], 0) | guard
        result[index] = guard
    return result
