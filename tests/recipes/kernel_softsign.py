# SPDX-License-Identifier: Apache-2.0
"""The same operation with loops of its own, for the C backend: what ``tvm_passes.kernels`` would hold, and the
registration."""

from __future__ import annotations

from tvm import relax, tirx

from tvm_passes.kernel import OUT, Kernel, Param, Step
from tvm_passes.kernels.conv2d import Functions, buffers
from tvm_passes.kernels.loops import LoopNest, constant, prim_func
from tvm_passes.kernels.tiling import Tiling
from tvm_passes.ops import OPS, Gradient, Op, Tape

from .softsign import pattern


def forward(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = x / (1 + |x|)."""
    x, y = buffers(kernel)
    nest = LoopNest()
    with nest.loop("i", kernel.params[0].elements) as i:
        size = nest.let("size", tirx.abs(x[i]) + constant(1), "float32")
        nest.store(y, i, x[i] / size)
    return {name: prim_func([x, y], nest)}


def backward(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = g / (1 + |x|)^2."""
    g, x, dx = buffers(kernel)
    nest = LoopNest()
    with nest.loop("i", kernel.params[0].elements) as i:
        size = nest.let("size", tirx.abs(x[i]) + constant(1), "float32")
        nest.store(dx, i, g[i] / (size * size))
    return {name: prim_func([g, x, dx], nest)}


def rule(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = softsign(x)  /  g * softsign'(x)."""
    n = int(g.ty.shape[0])
    kernel = Kernel("softsign_grad", (Param("g", n), Param("x", n), Param("dx", n, OUT)), {}, ("g",))
    tape.add(step.args[0], tape.emit(kernel, [g, step.args[0]]))


def register(*, gradient: bool = True) -> None:
    """Make it known."""
    keeps = Gradient(rule, lambda _tape, step: (step.args[0],))
    OPS.register(
        Op(
            "softsign",
            forward,
            gradient=keeps if gradient else None,
            pattern=pattern,
            activation=True,
            activation_names=("softsign",),
        )
    )
    OPS.register(Op("softsign_grad", backward))
