# SPDX-License-Identifier: Apache-2.0
"""The passes in order: from an imported model to a planned training program, and from there to C kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tvm
from tvm import tirx

from .attach_loss import AttachLoss
from .canonicalize import Canonicalize
from .choice import Trained
from .fisher import Fisher
from .kernels.tiling import Tiling
from .order import Order
from .plan_arena import PlanArena, PlannedFunction, called_kernels, read_plan
from .print_c import print_c
from .schedule import Schedule
from .sparse_gradient import SparseGradient
from .specs import LossSpec, OptimizerSpec
from .unpacked_api import unpacked_api
from .update_in_place import UpdateInPlace

Report = Callable[[str], None]


def canonical(imported: tvm.IRModule) -> tvm.IRModule:
    """An imported model as declared kernels; see ``Canonicalize``."""
    return Canonicalize()(imported)


def training_program(
    module: tvm.IRModule,
    loss: LossSpec,
    trained: Mapping[int, Trained],
    optimizer: OptimizerSpec,
    report: Report = lambda _name: None,
) -> tvm.IRModule:
    """A canonical module with ``train_step`` (and ``apply_update`` for batches), ordered and planned.

    Args:
        module: the result of ``canonical``.
        loss: which loss.
        trained: number of the layer -> what is trained of it; not empty.
        optimizer: which optimiser.
        report: called with the name of every pass before it runs.
    """
    steps = (
        ("attach loss", AttachLoss(loss)),
        ("sparse gradient", SparseGradient(trained)),
        ("update in place", UpdateInPlace(optimizer)),
        ("order", Order()),
        ("plan arena", PlanArena()),
    )
    return _run(module, steps, report)


def dynamic_program(
    module: tvm.IRModule,
    loss: LossSpec,
    candidates: Mapping[int, Trained],
    optimizer: OptimizerSpec,
    report: Report = lambda _name: None,
) -> tvm.IRModule:
    """A canonical module with ``fisher``, and a ``train_step`` that serves any plan over the candidates.

    Args:
        module: the result of ``canonical``.
        loss: which loss.
        candidates: number of the layer -> ``Trained(AT_RUN_TIME, bias)``, at most 64, in forward order; their order
            gives the bits of guards.
        optimizer: which optimiser, with ``at_run_time``.
        report: called with the name of every pass before it runs.
    """
    bits = {layer: 1 << i for i, layer in enumerate(candidates)}
    steps = (
        ("attach loss", AttachLoss(loss)),
        ("fisher", Fisher(list(candidates))),
        ("sparse gradient", SparseGradient(candidates)),
        ("update in place", UpdateInPlace(optimizer)),
        ("order", Order()),
        ("plan arena", PlanArena(bits)),
    )
    return _run(module, steps, report)


def _run(module: tvm.IRModule, steps: Sequence[tuple[str, tvm.transform.Pass]], report: Report) -> tvm.IRModule:
    for name, step in steps:
        report(name)
        module = step(module)
    return module


def planned_functions(module: tvm.IRModule) -> dict[str, PlannedFunction]:
    """The Relax functions of a planned module by name."""
    names = [gv.name_hint for gv, f in module.functions.items() if not isinstance(f, tirx.PrimFunc)]
    return {name: read_plan(module, name) for name in sorted(names)}


@dataclass(frozen=True)
class CKernels:
    """C text: declarations of the kernels that functions call, and definitions of all."""

    declarations: str
    definitions: str


def lower_to_c(module: tvm.IRModule, tiling: Tiling, prefix: str) -> CKernels:
    """Loop nests of the kernels that the planned functions of ``module`` call, as C99, their names behind a prefix."""
    called = set().union(*(called_kernels(f) for f in module.functions.values() if not isinstance(f, tirx.PrimFunc)))
    kernels = tvm.IRModule({gv: f for gv, f in module.functions.items() if gv.name_hint in called})
    lowered = unpacked_api(Schedule(tiling)(kernels))
    declarations, definitions = [], []
    # Helpers are static, so they must come before the entries that call them.
    for entry in (False, True):
        for gv, function in lowered.functions.items():
            if (gv.name_hint in called) == entry:
                name = (prefix if entry else "") + gv.name_hint
                declaration, definition = print_c(function, name, static=not entry)
                definitions.append(definition)
                if entry:
                    declarations.append(declaration)
    return CKernels("\n".join(declarations), "\n".join(definitions))
