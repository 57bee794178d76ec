# SPDX-License-Identifier: Apache-2.0
"""Comparisons, logic of conditions (which are 0 and 1), and casts: operations that no gradient passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import tirx

from ..imported_graph import UnsupportedGraphError, Value
from ..kernels.elementwise import mapped
from ..kernels.loops import c_call, constant
from .broadcast import multiary
from .op import NO_GRADIENT, OPS, Lower, Lowering, Op


def _condition(holds: tirx.Var) -> tirx.Var:
    return tirx.Select(holds, constant(1), constant(0))


_COMPARISONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., np.ndarray]]] = {
    "greater": (lambda a, b: a > b, np.greater),
    "greater_equal": (lambda a, b: a >= b, np.greater_equal),
    "less": (lambda a, b: a < b, np.less),
    "less_equal": (lambda a, b: a <= b, np.less_equal),
    "equal": (tirx.EQ, np.equal),
    "not_equal": (tirx.NE, np.not_equal),
    "logical_and": (lambda a, b: tirx.min(a, b) > 0.0, np.logical_and),
    "logical_or": (lambda a, b: tirx.max(a, b) > 0.0, np.logical_or),
    "logical_xor": (tirx.NE, np.logical_xor),
}

for _name, (_holds, _fold) in _COMPARISONS.items():
    multiary(
        _name,
        lambda _kernel, a, b, holds=_holds: _condition(holds(a, b)),
        {"a": None, "b": None},
        f"relax.{_name}",
        fold=_fold,
    )


def _logical_not(_kernel: Any, x: tirx.Var) -> tirx.Var:
    return _condition(tirx.EQ(x, constant(0)))


def _is_not_zero(_kernel: Any, x: tirx.Var) -> tirx.Var:
    return _condition(tirx.NE(x, constant(0)))


def _truncated(_kernel: Any, x: tirx.Var) -> tirx.Var:
    return c_call("truncf", x)


def _lower_not(lowering: Lowering, binding: Any) -> bool:
    lowering.unary(binding, "logical_not")
    return True


def _lower_cast(lowering: Lowering, binding: Any) -> bool:
    """Tensors stay float32; what a cast does to a number is done to it. From there on integers are exact up to 2^24."""
    argument = binding.value.args[0]
    source, target = str(argument.ty.dtype), str(binding.value.attrs.dtype)
    value = lowering.plain(argument)
    if value.array is not None:
        lowering.forward(binding, Value(None, value.shape, value.array.astype(target)))
    elif target == "bool" and source != "bool":
        lowering.unary(binding, "not_zero")
    elif source.startswith("float") and target.startswith(("int", "uint")):
        lowering.unary(binding, "trunc")
    elif target not in ("float32", "bool", "int8", "int32", "int64"):
        raise UnsupportedGraphError(f"expected a cast to float32, bool or int32, received one to {target}")
    else:
        lowering.forward(binding, value)
    return True


OPS.register(
    Op(
        "logical_not",
        mapped(_logical_not),
        _logical_not,
        NO_GRADIENT,
        lowers={"relax.logical_not": Lower(_lower_not)},
    )
)
OPS.register(Op("not_zero", mapped(_is_not_zero), _is_not_zero, NO_GRADIENT))
OPS.register(Op("trunc", mapped(_truncated), _truncated, NO_GRADIENT, lowers={"relax.astype": Lower(_lower_cast)}))
