# SPDX-License-Identifier: Apache-2.0
"""Matrix products of two activations, in batches that broadcast: attention. A product with constant weights is a layer,
which can be trained (``convolution``)."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from tvm import relax

from ..imported_graph import UnsupportedGraphError, shape_of
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import strided
from ..kernels.space import Place, Space, broadcast, row_major
from .op import OPS, Gradient, Lower, Lowering, Op, Tape


def _lower(lowering: Lowering, binding: Any) -> bool:
    a, b = (lowering.plain(argument) for argument in binding.value.args)
    if b.array is not None:
        return False
    if min(len(a.shape), len(b.shape)) < 2:
        raise UnsupportedGraphError(f"expected a product of matrices, received {a.shape} and {b.shape}")
    out = shape_of(binding.var)
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    batch = out[:-2]
    shape = (*batch, rows, columns, inner)
    at_a, at_b = (broadcast(value.shape, (*batch, *value.shape[-2:])).strides for value in (a, b))
    places = (
        Place((*at_a[:-2], at_a[-2], 0, at_a[-1])),
        Place((*at_b[:-2], 0, at_b[-1], at_b[-2])),
        Place((*row_major(out).strides, 0)),
    )
    params = (Param("a", a.elements), Param("b", b.elements), Param("y", prod(out), OUT))
    kernel = Kernel("matmul", params, Space(shape, places).attrs())
    lowering.define(binding, kernel, [lowering.tensor(a), lowering.tensor(b)])
    return True


def _saves(tape: Tape, step: Step) -> Iterable[relax.Expr]:
    a, b = step.args
    pairs = ((a, b), (b, a))
    return [other for one, other in pairs if tape.active(one) and isinstance(other, relax.Var)]


def _gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a b  /  g b' and a' g, summed over the batches that an operand was broadcast to."""
    space = Space.of(step.kernel.attrs)
    a, b = step.args
    at_a, at_b, at_y = space.places
    n = int(g.ty.shape[0])
    elements_a, elements_b = (step.kernel.param(name).elements for name in ("a", "b"))
    if tape.active(a):
        params = (Param("a", n), Param("b", elements_b), Param("y", elements_a, OUT))
        kernel = Kernel("matmul", params, Space(space.shape, (at_y, at_b, at_a)).attrs())
        tape.add(a, tape.emit(kernel, [g, b]))
    if tape.active(b):
        params = (Param("a", n), Param("b", elements_a), Param("y", elements_b, OUT))
        kernel = Kernel("matmul", params, Space(space.shape, (at_y, at_a, at_b)).attrs())
        tape.add(b, tape.emit(kernel, [g, a]))


OPS.register(
    Op(
        "matmul",
        strided.product,
        gradient=Gradient(_gradient, _saves),
        lowers={"relax.matmul": Lower(_lower)},
        macs=lambda _kernel, _window: 1,
    )
)
