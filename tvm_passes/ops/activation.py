# SPDX-License-Identifier: Apache-2.0
"""Activations other than clips."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.relax.dpl import DFPattern, is_expr, is_op

from ..imported_graph import Value, shape_of
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import elementwise as kernels
from ..kernels.loops import c_call, clipped, constant
from .elementwise import elementwise, lower_unary
from .movement import transposed
from .op import OPS, Gradient, Lower, Lowering, Op, Tape, Tflm


def _leaky(kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = x where positive, alpha * x elsewhere."""
    return tirx.Select(x > 0.0, x, x * constant(kernel["alpha"]))


def _leaky_grad(kernel: Kernel, g: tirx.Var, y: tirx.Var) -> tirx.Var:
    """dx = g where y is positive, alpha * g elsewhere."""
    return tirx.Select(y > 0.0, g, g * constant(kernel["alpha"]))


elementwise(
    "leaky_relu",
    _leaky,
    _leaky_grad,
    lowers={"relax.nn.leakyrelu": lower_unary("leaky_relu", lambda call: {"alpha": float(call.attrs.alpha)})},
    activation_names=("leaky_relu",),
    tflm_gradient=Tflm(12, "leaky_relu", {"alpha": "float32"}),
)


def _hard_swish(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = x * clip(x + 3, 0, 6) / 6."""
    return x * clipped(x + 3.0, 0.0, 6.0) * constant(1 / 6)


def _hard_swish_grad(_kernel: Kernel, g: tirx.Var, x: tirx.Var) -> tirx.Var:
    """dx = g * (0 below -3, 1 above 3, (2x + 3) / 6 between)."""
    slope = (x + x + 3.0) * constant(1 / 6)
    slope = tirx.Select(x > -3.0, slope, constant(0))
    return g * tirx.Select(x < 3.0, slope, constant(1))


def _hard_swish_pattern(x: DFPattern) -> DFPattern:
    """x * (clip(x + 3, 0, 6) * 1/6), as the importer spells it out."""
    add, clip, multiply = (is_op(f"relax.{name}") for name in ("add", "clip", "multiply"))
    three, sixth = (is_expr(relax.const(value, "float32")) for value in (3.0, 1 / 6))
    bounds = (is_expr(tirx.FloatImm("float64", value)) for value in (0.0, 6.0))
    gate = multiply(clip(add(x, three), *bounds), sixth)
    return multiply(x, gate) | multiply(gate, x)


elementwise(
    "hard_swish",
    _hard_swish,
    _hard_swish_grad,
    keeps="x",
    pattern=_hard_swish_pattern,
    activation_names=("hard_silu", "hard_swish"),
    tflite="HARD_SWISH",
    tflm_gradient=Tflm(15),
)


def _elu(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = x where positive, exp(x) - 1 elsewhere."""
    return tirx.Select(x > 0.0, x, tirx.exp(tirx.min(x, constant(0))) - constant(1))


def _elu_pattern(x: DFPattern) -> DFPattern:
    """-1 * relu(1 - exp(x)) + relu(x), as the importer spells it out; composed, its gradient is no number where exp(x)
    is none."""
    one, minus = (is_expr(relax.const(value, "float32")) for value in (1.0, -1.0))
    relu = is_op("relax.nn.relu")
    below = relu(is_op("relax.subtract")(one, is_op("relax.exp")(x)))
    return is_op("relax.add")(is_op("relax.multiply")(minus, below), relu(x))


def _gelu(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = x * (1 + erf(x / sqrt 2)) / 2."""
    return x * (constant(0.5) + constant(0.5) * c_call("erff", x * constant(math.sqrt(0.5))))


def _gelu_grad(_kernel: Kernel, g: tirx.Var, x: tirx.Var) -> tirx.Var:
    """dx = g * ((1 + erf(x / sqrt 2)) / 2 + x * exp(-x^2 / 2) / sqrt(2 pi))."""
    share = constant(0.5) + constant(0.5) * c_call("erff", x * constant(math.sqrt(0.5)))
    density = tirx.exp(x * x * constant(-0.5)) * constant(1 / math.sqrt(2 * math.pi))
    return g * (share + x * density)


def _gelu_pattern(x: DFPattern) -> DFPattern:
    """x * (0.5 + erf(x * sqrt 0.5) * 0.5), as the importer spells it out."""
    # A pattern stands for one node, so each constant has its own.
    half, root, factor = (is_expr(relax.const(value, "float32")) for value in (0.5, 0.5**0.5, 0.5))
    add, multiply, erf = (is_op(f"relax.{name}") for name in ("add", "multiply", "erf"))
    return multiply(x, add(half, multiply(erf(multiply(x, root)), factor)))


def _softplus(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """y = log(1 + exp(x)), of any x."""
    return tirx.max(x, constant(0)) + tirx.log(constant(1) + tirx.exp(constant(0) - tirx.abs(x)))


def _softplus_pattern(x: DFPattern) -> DFPattern:
    """log(exp(x) + 1), as the importer spells it out; composed, it is infinite where exp(x) is."""
    one = is_expr(relax.const(1.0, "float32"))
    return is_op("relax.log")(is_op("relax.add")(is_op("relax.exp")(x), one))


elementwise(
    "softplus",
    _softplus,
    lambda _kernel, g, y: g * (constant(1) - tirx.exp(constant(0) - y)),
    pattern=_softplus_pattern,
    activation_names=("softplus",),
)
elementwise(
    "elu",
    _elu,
    lambda _kernel, g, y: tirx.Select(y > 0.0, g, g * (y + constant(1))),
    pattern=_elu_pattern,
    activation_names=("elu",),
)
elementwise("gelu", _gelu, _gelu_grad, keeps="x", pattern=_gelu_pattern, activation_names=("gelu",))
elementwise(
    "sigmoid",
    lambda _kernel, x: c_call("tt_sigmoid", x),
    lambda _kernel, g, y: g * y * (constant(1) - y),
    lowers={"relax.sigmoid": lower_unary("sigmoid")},
    activation_names=("sigmoid",),
    tflite="LOGISTIC",
    tflm_gradient=Tflm(13),
)
elementwise(
    "tanh",
    lambda _kernel, x: c_call("tanhf", x),
    lambda _kernel, g, y: g * (constant(1) - y * y),
    lowers={"relax.tanh": lower_unary("tanh")},
    activation_names=("tanh",),
    tflite="TANH",
    tflm_gradient=Tflm(14),
)


def _lower_softmax(op: str) -> Lower:
    def lower(lowering: Lowering, binding: Any) -> bool:
        shape = shape_of(binding.var)
        rank = len(shape)
        axis = int(binding.value.attrs.axis) % rank
        if axis == rank - 1:
            lowering.unary(binding, op, classes=shape[-1])
            return True
        order = [*(a for a in range(rank) if a != axis), axis]
        source = transposed(lowering, lowering.plain(binding.value.args[0]), order)
        n = source.elements
        kernel = Kernel(op, (Param("x", n), Param("y", n, OUT)), {"classes": shape[axis]}, ("x",))
        result = Value(lowering.emit(kernel, [lowering.tensor(source)]), source.shape)
        lowering.forward(binding, transposed(lowering, result, np.argsort(order).tolist()))
        return True

    return Lower(lower)


def _softmax(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = softmax(x)  /  y * (g - sum of g * y); of its logarithm  /  g - exp(y) * sum of g."""
    n = int(g.ty.shape[0])
    params = (Param("g", n), Param("y", n), Param("dx", n, OUT))
    kernel = Kernel(f"{step.kernel.op}_grad", params, dict(step.kernel.attrs), ("g",))
    tape.add(step.args[0], tape.emit(kernel, [g, step.var]))


OPS.register(
    Op(
        "softmax",
        kernels.softmax,
        gradient=Gradient(_softmax, lambda _tape, step: (step.var,)),
        lowers={"relax.nn.softmax": _lower_softmax("softmax")},
        activation_names=("softmax",),
    )
)
OPS.register(
    Op(
        "log_softmax",
        kernels.log_softmax,
        gradient=Gradient(_softmax, lambda _tape, step: (step.var,)),
        lowers={"relax.nn.log_softmax": _lower_softmax("log_softmax")},
        activation_names=("log_softmax",),
    )
)
OPS.register(Op("log_softmax_grad", kernels.log_softmax_grad))
OPS.register(Op("softmax_grad", kernels.softmax_grad, tflm=Tflm(16, "softmax", {"classes": "int32"})))
