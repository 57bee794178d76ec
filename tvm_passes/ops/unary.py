# SPDX-License-Identifier: Apache-2.0
"""Functions of one number: powers, exponentials, trigonometry, rounding; and operations with one number that is a
constant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import tirx

from ..imported_graph import shape_of
from ..kernel import OUT, Kernel, Param
from ..kernels.elementwise import mapped
from ..kernels.loops import c_call, constant
from .elementwise import elementwise, lower_unary
from .op import NO_GRADIENT, OPS, Lower, Lowering, Op, Scalar


def _register(
    name: str, forward: Scalar, gradient: Scalar, keeps: str = "y", activation_names: tuple[str, ...] = ()
) -> None:
    elementwise(
        name,
        forward,
        gradient,
        keeps=keeps,
        lowers={f"relax.{name}": lower_unary(name)},
        activation=bool(activation_names),
        activation_names=activation_names,
    )


def _sign(_kernel: Kernel, x: tirx.Var) -> tirx.Var:
    return tirx.Select(x > 0.0, constant(1), tirx.Select(x < 0.0, constant(-1), constant(0)))


def _abs_grad(_kernel: Kernel, g: tirx.Var, x: tirx.Var) -> tirx.Var:
    return tirx.Select(x > 0.0, g, tirx.Select(x < 0.0, constant(0) - g, constant(0)))


def _erf_grad(_kernel: Kernel, g: tirx.Var, x: tirx.Var) -> tirx.Var:
    return g * constant(2 / math.sqrt(math.pi)) * tirx.exp(constant(0) - x * x)


_register("exp", lambda _kernel, x: tirx.exp(x), lambda _kernel, g, y: g * y, activation_names=("exponential",))
_register("log", lambda _kernel, x: tirx.log(x), lambda _kernel, g, x: g / x, "x")
_register("sqrt", lambda _kernel, x: tirx.sqrt(x), lambda _kernel, g, y: g * constant(0.5) / y)
_register("rsqrt", lambda _kernel, x: constant(1) / tirx.sqrt(x), lambda _kernel, g, y: g * constant(-0.5) * y * y * y)
_register("square", lambda _kernel, x: x * x, lambda _kernel, g, x: g * (x + x), "x")
_register("abs", lambda _kernel, x: tirx.abs(x), _abs_grad, "x")
_register("erf", lambda _kernel, x: c_call("erff", x), _erf_grad, "x")
_register("sin", lambda _kernel, x: c_call("sinf", x), lambda _kernel, g, x: g * c_call("cosf", x), "x")
_register("cos", lambda _kernel, x: c_call("cosf", x), lambda _kernel, g, x: constant(0) - g * c_call("sinf", x), "x")
_register("tan", lambda _kernel, x: c_call("tanf", x), lambda _kernel, g, y: g * (constant(1) + y * y))

_STEPS: dict[str, Scalar] = {
    "floor": lambda _kernel, x: c_call("floorf", x),
    "ceil": lambda _kernel, x: c_call("ceilf", x),
    "round": lambda _kernel, x: c_call("rintf", x),  # halves to even, as in TensorFlow
    "sign": _sign,
}
for _name, _step in _STEPS.items():
    OPS.register(Op(_name, mapped(_step), _step, NO_GRADIENT, lowers={f"relax.{_name}": lower_unary(_name)}))


# -------------------------------------------------------------- with a constant number


def _with_number(name: str, *sides: int) -> Lower:
    """The operation ``name`` of an activation and a number that is operand ``side``, which becomes its ``value``."""

    def lower(lowering: Lowering, binding: Any) -> bool:
        for side in sides:
            source, other = (lowering.operand(binding.value.args[i]) for i in (1 - side, side))
            if source.array is None and other.array is not None and other.array.size == 1:
                number = float(np.float32(other.array.item()))
                whole = source.elements == math.prod(shape_of(binding.var))
                if math.isfinite(number) and whole:
                    _emit(lowering, binding, 1 - side, *_SPECIAL.get((name, number), (name, {"value": number})))
                    return True
        return False

    return Lower(lower)


def _emit(lowering: Lowering, binding: Any, operand: int, op: str, attrs: dict[str, float]) -> None:
    source = lowering.plain(binding.value.args[operand])
    n = source.elements
    kernel = Kernel(op, (Param("x", n), Param("y", n, OUT)), attrs, ("x",))
    lowering.define(binding, kernel, [lowering.tensor(source)])


_SPECIAL: dict[tuple[str, float], tuple[str, dict[str, float]]] = {
    ("power_number", 2.0): ("square", {}),
    ("power_number", 0.5): ("sqrt", {}),
    ("power_number", -0.5): ("rsqrt", {}),
}


def _value(kernel: Kernel) -> tirx.Var:
    return constant(kernel["value"])


def _power_grad(kernel: Kernel, g: tirx.Var, x: tirx.Var) -> tirx.Var:
    return g * _value(kernel) * c_call("powf", x, constant(kernel["value"] - 1))


elementwise(
    "power_number",
    lambda kernel, x: c_call("powf", x, _value(kernel)),
    _power_grad,
    keeps="x",
    lowers={"relax.power": _with_number("power_number", 1)},
    activation=False,
)
elementwise(
    "maximum_number",
    lambda kernel, x: tirx.max(x, _value(kernel)),
    lambda kernel, g, x: tirx.Select(x >= _value(kernel), g, constant(0)),
    keeps="x",
    lowers={"relax.maximum": _with_number("maximum_number", 1, 0)},
    activation=False,
)
elementwise(
    "minimum_number",
    lambda kernel, x: tirx.min(x, _value(kernel)),
    lambda kernel, g, x: tirx.Select(x <= _value(kernel), g, constant(0)),
    keeps="x",
    lowers={"relax.minimum": _with_number("minimum_number", 1, 0)},
    activation=False,
)
elementwise(
    "number_divided",
    lambda kernel, x: _value(kernel) / x,
    lambda kernel, g, x: constant(0) - g * _value(kernel) / (x * x),
    keeps="x",
    lowers={"relax.divide": _with_number("number_divided", 0)},
    activation=False,
)
