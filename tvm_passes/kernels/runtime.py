# SPDX-License-Identifier: Apache-2.0
"""Kernels that are calls of the device runtime: losses and optimisers, whose sizes are arguments."""

from __future__ import annotations

from tvm import tirx

from ..attach_loss import PROTOTYPES
from ..kernel import Kernel
from ..specs import CLASS
from .conv2d import Functions, buffers
from .loops import LoopNest, constant, prim_func
from .tiling import Tiling


def _unsigned(value: int) -> tirx.Var:
    return tirx.const(value, "uint32")


def _trained_elements(rows: tirx.Var) -> tirx.Var:
    return tirx.call_extern("uint32", "tt_trained_elements", rows)


def loss(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """g = gradient of the loss with respect to the output; loss is written too. Prototypes count as constants."""
    arguments = buffers(kernel)
    output, label, g = arguments[0], arguments[1], arguments[-1]
    nest = LoopNest()
    given = label[0] if kernel["label"] == CLASS else label
    call = f"(void){kernel['function']}"
    if kernel.has(PROTOTYPES):
        _, _, prototypes, value, scores, _ = arguments
        nest.call(call, prototypes, output, given, scores, g, value)
    else:
        nest.call(call, output, _unsigned(kernel.params[0].elements), given, g, arguments[2])
    return {name: prim_func(arguments, nest)}


def optimizer_update(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """One step of an optimiser on the trained rows of a layer, moments in place."""
    arguments = buffers(kernel)
    gradient, rows, hyper, *moments, pool = arguments
    nest = LoopNest()
    nest.call(kernel["function"], pool, *moments, gradient, _trained_elements(rows), hyper)
    return {name: prim_func(arguments, nest)}


def fisher_potential(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """potential[o] += (sum over positions of a * g)^2."""
    a, g, potential = buffers(kernel)
    channels = kernel.params[2].elements
    nest = LoopNest()
    positions = _unsigned(kernel.params[0].elements // channels)
    if kernel.params[0].dtype == "int8":
        grid = (constant(kernel["y_scale"]), kernel["y_zero"])
        nest.call("tt_int8_fisher_add", a, *grid, g, positions, _unsigned(channels), potential)
    else:
        nest.call("tt_fisher_add", a, g, positions, _unsigned(channels), potential)
    return {name: prim_func([a, g, potential], nest)}
