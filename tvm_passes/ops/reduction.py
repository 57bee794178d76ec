# SPDX-License-Identifier: Apache-2.0
"""Sums, means, maxima and minima along any axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from tvm import relax

from ..imported_graph import UnsupportedGraphError, Value, shape_of
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import strided
from ..kernels.space import Place, Space, row_major
from .op import OPS, Gradient, Lower, Lowering, Op, Tape


def add_up(tape: Tape, g: relax.Var, shape: tuple[int, ...], source: Place, target: Place, elements: int) -> relax.Var:
    """``g`` summed along the axes that ``target`` does not have: the gradient of what was broadcast along them."""
    params = (Param("x", int(g.ty.shape[0])), Param("y", elements, OUT))
    return tape.emit(Kernel("sum", params, Space(shape, (source, target)).attrs()), [g])


def _lower(op: str, fold: Callable[..., np.ndarray], mean: bool = False) -> Lower:
    def lower(lowering: Lowering, binding: Any) -> bool:
        source = lowering.plain(binding.value.args[0])
        dtype = str(binding.value.args[0].ty.dtype)
        if dtype not in ("float32", "bool", "int8"):
            raise UnsupportedGraphError(f"expected a float32 operand for {op}, received {dtype}")
        rank = len(source.shape)
        given = binding.value.attrs.axis
        axes = tuple(range(rank)) if given is None else tuple(int(axis) % rank for axis in given)
        out = shape_of(binding.var)
        if source.array is not None:
            lowering.forward(binding, Value(None, out, np.asarray(fold(source.array, axes)).reshape(out)))
            return True
        x = row_major(source.shape)
        kept = row_major([1 if axis in axes else n for axis, n in enumerate(source.shape)])
        y = Place(tuple(0 if axis in axes else step for axis, step in enumerate(kept.strides)))
        count = prod(source.shape[axis] for axis in axes)
        if count == 1:
            lowering.forward(binding, Value(source.var, out))
            return True
        attrs: dict[str, Any] = Space(source.shape, (x, y)).attrs()
        if mean:
            attrs["scale"] = 1 / count
        params = (Param("x", source.elements), Param("y", prod(out), OUT))
        lowering.define(binding, Kernel(op, params, attrs), [source.var])
        return True

    return Lower(lower)


def _sum(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = the sum of x along some axes, scaled  /  g, scaled, to every element of the sum."""
    space = Space.of(step.kernel.attrs)
    x, y = space.places
    attrs: dict[str, Any] = Space(space.shape, (y, x)).attrs()
    if "scale" in step.kernel.attrs:
        attrs["scale"] = step.kernel["scale"]
    params = (Param("x", int(g.ty.shape[0])), Param("y", step.kernel.param("x").elements, OUT))
    tape.add(step.args[0], tape.emit(Kernel("read_strided", params, attrs), [g]))


def _extremum(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = the largest (or smallest) x along some axes  /  g to it, in equal parts where it is there several times."""
    space = Space.of(step.kernel.attrs)
    x, y = space.places
    n, outputs = step.kernel.param("x").elements, step.kernel.param("y").elements
    params = (Param("g", outputs), Param("x", n), Param("y", outputs), Param("dx", n, OUT))
    kernel = Kernel("extremum_grad", params, Space(space.shape, (y, x, y, x)).attrs())
    tape.add(step.args[0], tape.emit(kernel, [g, step.args[0], step.var]))


_EXTREMUM = Gradient(_extremum, lambda _tape, step: (step.args[0], step.var))

OPS.register(
    Op(
        "sum",
        strided.total,
        gradient=Gradient(_sum),
        lowers={
            "relax.sum": _lower("sum", lambda x, axes: x.sum(axes)),
            "relax.mean": _lower("sum", lambda x, axes: x.mean(axes), mean=True),
        },
    )
)
OPS.register(
    Op(
        "reduce_max",
        strided.largest,
        gradient=_EXTREMUM,
        lowers={"relax.max": _lower("reduce_max", lambda x, axes: x.max(axes))},
    )
)
OPS.register(
    Op(
        "reduce_min",
        strided.smallest,
        gradient=_EXTREMUM,
        lowers={"relax.min": _lower("reduce_min", lambda x, axes: x.min(axes))},
    )
)
OPS.register(Op("extremum_grad", strided.extremum_grad))
