# SPDX-License-Identifier: Apache-2.0
"""Clips, which ReLU and ReLU6 are, whether kernels of their own or the end of another; and their one-bit masks."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx

from ..imported_graph import clip_bounds
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import elementwise, int8
from ..kernels.elementwise import MASK_BITS
from ..kernels.loops import clipped, constant
from .op import OPS, Gradient, Int8, Integers, Lower, Lowering, Op, Tape, Tflm

BOUNDS = ("low", "high")
_FIELDS = dict.fromkeys(BOUNDS, "float32")


def clips(kernel: Kernel) -> bool:
    """Whether the kernel ends in a clip."""
    return any(bound in kernel.attrs for bound in BOUNDS)


def clip_mask(step: Step) -> Kernel:
    """The kernel that keeps the sign mask of a clipped output."""
    n = int(step.var.ty.shape[0])
    y = Param("y", n, dtype=step.kernel.params[-1].dtype)
    return Kernel("clip_mask", (y, Param("mask", -(-n // MASK_BITS), OUT, "uint32")), _bounds(step.kernel))


def through_clip(tape: Tape, step: Step, g: relax.Var) -> relax.Var:
    """y = clip(z, low, high)  /  g where low < y < high, from y or from its mask."""
    if not clips(step.kernel):
        return g
    n = int(g.ty.shape[0])
    mask = tape.mask(step.var)
    if mask is not None:
        words = Param("mask", -(-n // MASK_BITS), dtype="uint32")
        return tape.emit(Kernel("mask_grad", (Param("g", n), words, Param("dx", n, OUT)), {}, ("g",)), [g, mask])
    dtype = step.kernel.params[-1].dtype
    params = (Param("g", n), Param("y", n, dtype=dtype), Param("dx", n, OUT))
    overlay = ("g", "y") if dtype == "float32" else ("g",)
    return tape.emit(Kernel("clip_grad", params, _bounds(step.kernel), overlay), [g, step.var])


def gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = clip(x)  /  g where y lies strictly between the bounds."""
    tape.add(step.args[0], through_clip(tape, step, g))


def _bounds(kernel: Kernel) -> dict[str, Any]:
    return {bound: kernel[bound] for bound in BOUNDS if bound in kernel.attrs}


def _lower(low: float | None, high: float | None, lowering: Lowering, binding: Any) -> bool:
    bounds = {name: bound for name, bound in zip(BOUNDS, (low, high), strict=True) if bound is not None}
    if bounds:
        lowering.unary(binding, "clip", **bounds)
    else:
        lowering.forward(binding, lowering.operand(binding.value.args[0]))
    return True


def _quantize(integers: Integers, step: Step) -> relax.Var:
    attrs = integers.saturating(step.args[0], step.var, step.kernel.attrs)
    return integers.emit(step, attrs | integers.factor(step.args[0], step.var))


def _clip(kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = min(max(x, low), high)."""
    return clipped(x, kernel.attrs.get("low"), kernel.attrs.get("high"))


def _clip_grad(kernel: Kernel, g: tirx.Var, y: tirx.Var) -> tirx.Var:
    """dx = g where the output lies strictly between the bounds."""
    return tirx.Select(elementwise.strictly_between(kernel, y), g, constant(0))


OPS.register(
    Op(
        "clip",
        elementwise.mapped(_clip),
        _clip,
        Gradient(gradient),
        Int8(int8.requantize, _quantize),
        Tflm(33, "clip", _FIELDS),
        lowers={
            "relax.nn.relu": Lower(lambda lowering, binding: _lower(0.0, None, lowering, binding)),
            "relax.clip": Lower(lambda lowering, binding: _lower(*clip_bounds(binding.value), lowering, binding)),
        },
        activation=True,
        activation_names=("relu", "relu6"),
    )
)
OPS.register(Op("clip_mask", elementwise.clip_mask, tflm=Tflm(9, "clip", _FIELDS)))
OPS.register(Op("mask_grad", elementwise.mask_grad, tflm=Tflm(10)))
OPS.register(Op("clip_grad", elementwise.mapped(_clip_grad), _clip_grad, tflm=Tflm(11, "clip", _FIELDS)))
