# SPDX-License-Identifier: Apache-2.0
"""Elementwise operations of several tensors, of one shape or broadcast along any axes, from a scalar expression and
those of its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from tvm import relax, tirx

from ..imported_graph import UnsupportedGraphError, Value, shape_of
from ..kernel import OUT, Kernel, Param, Step
from ..kernels.elementwise import mapped
from ..kernels.loops import c_call, constant
from ..kernels.space import Place, Space, broadcast, row_major
from ..kernels.strided import strided
from .op import NO_GRADIENT, OPS, Gradient, Lower, Lowering, Op, Scalar, Tape
from .reduction import add_up

REAL = ("float32", "bool")  # conditions are 0 and 1


@dataclass(frozen=True)
class Side:
    """The gradient with respect to one operand.

    Args:
        rule: (kernel, g, *what it reads) -> the gradient; None where it is g itself.
        reads: which operands it reads beside g, ``y`` being the result.
    """

    rule: Scalar | None = None
    reads: tuple[str, ...] = ()


Fold = Callable[..., np.ndarray]


def multiary(
    name: str,
    forward: Scalar,
    sides: Mapping[str, Side | None],
    operator: str | None = None,
    *,
    fold: Fold | None = None,
    lower: Callable[[Lowering, Any], bool] | None = None,
) -> None:
    """Register y = f(a, b, ...), for tensors of one shape ``name`` and for others ``<name>_broadcast``, and the kernels
    of their gradients.

    Args:
        name: of the operation; the flat one may be there already, with a gradient and a lowering of its own.
        forward: (kernel, *operands) -> y, float32 scalars in TIR.
        sides: operand -> its gradient, in the order of the operands; None where that is zero everywhere.
        operator: of an imported graph that it is.
        fold: the same of arrays, for constants.
        lower: how that operator becomes a call of it; the default takes its operands as they come.
    """
    trained = {operand: side for operand, side in sides.items() if side is not None}
    blind = tuple(position for position, side in enumerate(sides.values()) if side is None)

    def suffixed(broadcasting: bool) -> str:
        return f"{name}_broadcast" if broadcasting else name

    def as_it_comes(lowering: Lowering, binding: Any) -> bool:
        return lower_as(lowering, binding, name, tuple(sides), fold)

    def kept(broadcasting: bool) -> Gradient:
        def saves(tape: Tape, step: Step) -> Iterable[relax.Expr]:
            values = dict(zip((*sides, "y"), (*step.args, step.var), strict=True))
            active = (s for operand, s in trained.items() if tape.active(values[operand]))
            return [values[read] for s in active for read in s.reads if isinstance(values[read], relax.Var)]

        def rule(tape: Tape, step: Step, g: relax.Var) -> None:
            for operand in trained:
                _add_side(tape, step, g, suffixed(broadcasting), operand, trained[operand])

        return Gradient(rule, saves, blind) if trained else NO_GRADIENT

    if name not in OPS:
        lowers = {} if operator is None else {operator: Lower(lower or as_it_comes)}
        OPS.register(Op(name, mapped(forward), forward, kept(False), lowers=lowers))
        for operand, side in trained.items():
            if side.rule is not None:
                OPS.register(Op(f"{name}_grad_{operand}", mapped(side.rule), side.rule))
    OPS.register(Op(suffixed(True), strided(forward), gradient=kept(True)))
    for operand, side in trained.items():
        if side.rule is not None:
            OPS.register(Op(f"{suffixed(True)}_grad_{operand}", strided(side.rule)))


def real_operands(lowering: Lowering, binding: Any, count: int) -> list[Value]:
    """The operands of an operator, which must be real numbers or conditions."""
    arguments = binding.value.args[:count]
    for argument in arguments:
        if str(argument.ty.dtype) not in REAL:
            name = str(binding.value.op.name).removeprefix("relax.")
            raise UnsupportedGraphError(f"expected operands of float32 for {name}, received {argument.ty.dtype}")
    return [lowering.plain(argument) for argument in arguments]


def lower_as(lowering: Lowering, binding: Any, name: str, operands: Sequence[str], fold: Fold | None = None) -> bool:
    """Emit ``name`` for tensors of one shape, else ``<name>_broadcast``; operands of constants alone are computed."""
    values = real_operands(lowering, binding, len(operands))
    shape = shape_of(binding.var)
    if fold is not None and all(value.array is not None for value in values):
        lowering.forward(binding, Value(None, shape, np.asarray(fold(*(value.array for value in values)))))
        return True
    lowering.forward(binding, combined(lowering, name, dict(zip(operands, values, strict=True)), shape))
    return True


def combined(lowering: Lowering, name: str, operands: Mapping[str, Value], shape: tuple[int, ...]) -> Value:
    """Emit ``name`` of those operands, which broadcast to ``shape``."""
    n = prod(shape)
    params = [Param(operand, value.elements) for operand, value in operands.items()]
    whole = tuple(param.name for param in params if param.elements == n)
    places = [broadcast(value.shape, shape) for value in operands.values()]
    flat = len(whole) == len(params)
    attrs = {} if flat else Space(shape, (*places, row_major(shape))).attrs()
    kernel = Kernel(name if flat else f"{name}_broadcast", (*params, Param("y", n, OUT)), attrs, whole)
    return Value(lowering.emit(kernel, [lowering.tensor(value) for value in operands.values()]), shape)


def _add_side(tape: Tape, step: Step, g: relax.Var, name: str, operand: str, side: Side) -> None:
    values = dict(zip((*(p.name for p in step.kernel.params[:-1]), "y"), (*step.args, step.var), strict=True))
    target = values[operand]
    if not tape.active(target):
        return
    n, elements = int(g.ty.shape[0]), step.kernel.param(operand).elements
    space = Space.of(step.kernel.attrs) if Space.described_by(step.kernel.attrs) else None
    places = {} if space is None else dict(zip(values, space.places, strict=True))
    if side.rule is None:
        if space is not None and elements != n:
            g = add_up(tape, g, space.shape, places["y"], places[operand], elements)
        tape.add(target, g)
        return
    reads = [Param(read, step.kernel.param(read).elements) for read in side.reads]
    params = (Param("g", n), *reads, Param(f"d{operand}", elements, OUT))
    attrs = dict(step.kernel.attrs)
    if space is not None:
        order: list[Place] = [places["y"], *(places[read] for read in side.reads), places[operand]]
        attrs = Space(space.shape, tuple(order)).attrs()
    kernel = Kernel(f"{name}_grad_{operand}", params, attrs, ("g",) if elements == n else ())
    tape.add(target, tape.emit(kernel, [g, *(values[read] for read in side.reads)]))


# -------------------------------------------------------------- the operations


def _power_grad_b(_kernel: Kernel, g: tirx.Var, a: tirx.Var, y: tirx.Var) -> tirx.Var:
    """g * y * log a, 0 where the logarithm is not defined, as TensorFlow has it."""
    return tirx.Select(a > 0.0, g * y * tirx.log(a), constant(0))


def register() -> None:
    """The operations of two tensors that have no kernel for constants or channels of their own."""
    multiary(
        "subtract",
        lambda _kernel, a, b: a - b,
        {"a": Side(), "b": Side(lambda _kernel, g: constant(0) - g)},
        "relax.subtract",
        fold=np.subtract,
    )
    multiary(
        "divide",
        lambda _kernel, a, b: a / b,
        {
            "a": Side(lambda _kernel, g, b: g / b, ("b",)),
            "b": Side(lambda _kernel, g, b, y: constant(0) - g * y / b, ("b", "y")),
        },
        "relax.divide",
        fold=np.divide,
    )
    multiary(
        "maximum",
        lambda _kernel, a, b: tirx.max(a, b),
        {
            "a": Side(lambda _kernel, g, a, b: tirx.Select(a >= b, g, constant(0)), ("a", "b")),
            "b": Side(lambda _kernel, g, a, b: tirx.Select(a >= b, constant(0), g), ("a", "b")),
        },
        "relax.maximum",
        fold=np.maximum,
    )
    multiary(
        "minimum",
        lambda _kernel, a, b: tirx.min(a, b),
        {
            "a": Side(lambda _kernel, g, a, b: tirx.Select(a <= b, g, constant(0)), ("a", "b")),
            "b": Side(lambda _kernel, g, a, b: tirx.Select(a <= b, constant(0), g), ("a", "b")),
        },
        "relax.minimum",
        fold=np.minimum,
    )
    multiary(
        "power",
        lambda _kernel, a, b: c_call("powf", a, b),
        {
            "a": Side(lambda _kernel, g, a, b: g * b * c_call("powf", a, b - 1.0), ("a", "b")),
            "b": Side(_power_grad_b, ("a", "y")),
        },
        "relax.power",
        fold=np.power,
    )
    multiary(
        "floor_mod",
        lambda _kernel, a, b: a - b * c_call("floorf", a / b),
        {"a": Side(), "b": Side(lambda _kernel, g, a, b: constant(0) - g * c_call("floorf", a / b), ("a", "b"))},
        "relax.floor_mod",
        fold=np.mod,
    )
    multiary(
        "floor_divide",
        lambda _kernel, a, b: c_call("floorf", a / b),
        {"a": None, "b": None},
        "relax.floor_divide",
        fold=np.floor_divide,
    )
    multiary(
        "where",
        lambda _kernel, c, a, b: tirx.Select(tirx.NE(c, constant(0)), a, b),
        {
            "c": None,
            "a": Side(lambda _kernel, g, c: tirx.Select(tirx.NE(c, constant(0)), g, constant(0)), ("c",)),
            "b": Side(lambda _kernel, g, c: tirx.Select(tirx.NE(c, constant(0)), constant(0), g), ("c",)),
        },
        "relax.where",
        fold=np.where,
    )
    multiary(
        "prelu",
        lambda _kernel, a, b: tirx.Select(a > 0.0, a, a * b),
        {
            "a": Side(
                lambda _kernel, g, a, b: tirx.Select(a > 0.0, g, tirx.Select(a < 0.0, g * b, constant(0))), ("a", "b")
            ),
            "b": Side(lambda _kernel, g, a: tirx.Select(a < 0.0, g * a, constant(0)), ("a",)),
        },
        "relax.nn.prelu",
        lower=_lower_prelu,
    )


def _lower_prelu(lowering: Lowering, binding: Any) -> bool:
    """The importer spreads slopes over the whole tensor; what repeats itself in them is kept once."""
    x, slope = real_operands(lowering, binding, 2)
    axis, shape = int(binding.value.attrs.axis) % len(x.shape), shape_of(binding.var)
    slope = Value(slope.var, tuple(n if a == axis else 1 for a, n in enumerate(shape)), slope.array)
    if slope.array is not None:
        values = np.broadcast_to(slope.array.reshape(slope.shape), shape).ravel()
        period = next(p for p in range(1, values.size + 1) if values.size % p == 0 and _repeats(values, p))
        x = Value(x.var, (values.size // period, period), x.array)
        slope = Value(None, (period,), values[:period])
    result = combined(lowering, "prelu", {"a": x, "b": slope}, x.shape)
    lowering.forward(binding, Value(result.var, shape))
    return True


def _repeats(values: np.ndarray, period: int) -> bool:
    return bool((values.reshape(-1, period) == values[:period]).all())


register()
