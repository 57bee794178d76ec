# SPDX-License-Identifier: Apache-2.0
"""Elementwise operations of one tensor, from a scalar expression and that of the gradient.

This is all that a new one needs, wherever it is written; the C backend makes loops of the expressions, the TFLM backend
an op of its own that evaluates them, exported models TFLite's operators. That of the exponential function::

    elementwise(
        "exp",
        lambda _kernel, x: tirx.exp(x),
        lambda _kernel, g, y: g * y,
        lowers={"relax.exp": lower_unary("exp")},
        activation_names=("exponential",),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvm import relax
from tvm.relax.dpl import DFPattern

from ..kernel import OUT, Kernel, Param, Step
from ..kernels.elementwise import mapped
from .op import OPS, Gradient, Lower, Lowering, Op, Scalar, Tape, Tflm


def elementwise(
    name: str,
    forward: Scalar,
    gradient: Scalar,
    *,
    keeps: str = "y",
    lowers: Mapping[str, Lower] = {},
    pattern: Callable[[DFPattern], DFPattern] | None = None,
    activation: bool = True,
    activation_names: tuple[str, ...] = (),
    tflite: str | None = None,
    tflm_gradient: Tflm | None = None,
) -> Op:
    """Register y = f(x) and the kernel ``<name>_grad`` of its gradient.

    Args:
        name: of the operation.
        forward: (kernel, x) -> y, float32 scalars in TIR; constants are attributes of the kernel.
        gradient: (kernel, g, x or y) -> the gradient with respect to x, g being that with respect to y.
        keeps: what the gradient reads beside g and so is kept for backward: ``x`` or ``y``.
        lowers, pattern, activation, activation_names, tflite: as of ``Op``.
        tflm_gradient: the TFLM op of the gradient, where one is written for it.

    Returns:
        The operation.

    Raises:
        ValueError: a name or code is taken, or ``keeps`` is neither.
    """
    if keeps not in ("x", "y"):
        raise ValueError(f"operation '{name}': expected keeps of x or y, received {keeps}")

    def kept(step: Step) -> relax.Expr:
        return step.args[0] if keeps == "x" else step.var

    def rule(tape: Tape, step: Step, g: relax.Var) -> None:
        n = int(g.ty.shape[0])
        params = (Param("g", n), Param(keeps, n), Param("dx", n, OUT))
        kernel = Kernel(f"{name}_grad", params, dict(step.kernel.attrs), ("g",))
        tape.add(step.args[0], tape.emit(kernel, [g, kept(step)]))

    op = OPS.register(
        Op(
            name,
            mapped(forward),
            forward,
            Gradient(rule, lambda _tape, step: (kept(step),)),
            tflite=tflite,
            lowers=lowers,
            pattern=pattern,
            activation=activation,
            activation_names=activation_names,
        )
    )
    OPS.register(Op(f"{name}_grad", mapped(gradient), gradient, tflm=tflm_gradient))
    return op


def lower_unary(name: str, attrs: Callable[[relax.Call], dict[str, Any]] = lambda _call: {}) -> Lower:
    """An imported operator of one operand that is the operation as it stands.

    Args:
        name: of the operation.
        attrs: of the kernel, from the call.
    """

    def lower(lowering: Lowering, binding: Any) -> bool:
        lowering.unary(binding, name, **attrs(binding.value))
        return True

    return Lower(lower)
