# SPDX-License-Identifier: Apache-2.0
"""Sums and products of tensors, and with constants; copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from tvm import relax

from ..imported_graph import Value, core_shape, per_channel
from ..kernel import OUT, Kernel, Param, Step
from ..kernels import elementwise, int8
from ..kernels.int8 import ADD_SHIFT
from ..kernels.int8 import add as add_int8
from .broadcast import Side, lower_as, multiary, real_operands
from .clip import through_clip
from .op import OPS, Gradient, Int8, Integers, Lower, Lowering, Op, Tape, Tflm


def _operands(lowering: Lowering, binding: Any) -> tuple[Value, Value]:
    a, b = real_operands(lowering, binding, 2)
    return a, b


def _pairwise(lowering: Lowering, binding: Any, op: str, a: Value, b: Value) -> bool:
    if core_shape(a.shape) != core_shape(b.shape) or a.var is None or b.var is None:
        return False
    n = a.elements
    kernel = Kernel(op, (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a", "b"))
    lowering.define(binding, kernel, [a.var, b.var])
    return True


# -------------------------------------------------------------- sums


def _add(_kernel: Kernel, a: Any, b: Any) -> Any:
    """y = a + b."""
    return a + b


def _add_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a + b, saturated where it is int8  /  g to both."""
    g = through_clip(tape, step, g)
    for operand in step.args:
        tape.add(operand, g)


def _quantize_add(integers: Integers, step: Step) -> relax.Var:
    a, b = (integers.grid(v) for v in step.args)
    y = integers.grid(step.var)
    twice = 2 * max(a.scale, b.scale)
    attrs = integers.saturating(None, step.var, step.kernel.attrs)
    factors = {"a_": a.scale / twice, "b_": b.scale / twice, "": twice / (2**ADD_SHIFT * y.scale)}
    for side, factor in factors.items():
        attrs[f"{side}multiplier"], attrs[f"{side}shift"] = int8.fixed_point(factor)
    return integers.emit(step, attrs | {"a_zero": a.zero, "b_zero": b.zero})


OPS.register(
    Op(
        "add",
        elementwise.mapped(_add),
        _add,
        Gradient(_add_gradient),
        Int8(add_int8, _quantize_add),
        Tflm(17),
        lowers={
            "relax.add": Lower(
                lambda lowering, binding: (
                    _pairwise(lowering, binding, "add", *_operands(lowering, binding))
                    or lower_as(lowering, binding, "add", ("a", "b"), np.add)
                )
            )
        },
    )
)
OPS.register(Op("accumulate", elementwise.accumulate, tflm=Tflm(18)))
OPS.register(Op("copy", elementwise.mapped(lambda _kernel, x: x), tflm=Tflm(22)))

# -------------------------------------------------------------- products


def _multiply(_kernel: Kernel, a: Any, b: Any) -> Any:
    """y = a * b."""
    return a * b


def _others(tape: Tape, step: Step) -> Iterable[relax.Expr]:
    a, b = step.args
    return [other for operand, other in ((a, b), (b, a)) if tape.active(operand)]


def _multiply_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a * b  /  g * b and g * a."""
    n = int(g.ty.shape[0])
    for operand, other in (step.args, step.args[::-1]):
        if tape.active(operand):
            kernel = Kernel("multiply", (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a",))
            tape.add(operand, tape.emit(kernel, [g, other]))


def _larger_first(lowering: Lowering, binding: Any) -> tuple[Value, Value]:
    a, b = _operands(lowering, binding)
    return (b, a) if a.elements < b.elements else (a, b)


OPS.register(
    Op(
        "multiply",
        elementwise.mapped(_multiply),
        _multiply,
        Gradient(_multiply_gradient, _others),
        tflm=Tflm(19),
        lowers={
            "relax.multiply": Lower(
                lambda lowering, binding: (
                    _pairwise(lowering, binding, "multiply", *_larger_first(lowering, binding))
                    or lower_as(lowering, binding, "multiply", ("a", "b"), np.multiply)
                )
            )
        },
    )
)


def _lower_gate(lowering: Lowering, binding: Any) -> bool:
    a, b = _larger_first(lowering, binding)
    if core_shape(a.shape) == core_shape(b.shape) or a.var is None or b.var is None:
        return False
    if not b.shape or not b.elements == b.shape[-1] == a.shape[-1]:
        return False
    lowering.define(binding, _by_channel(a.elements, b.elements), [a.var, b.var])
    return True


def _by_channel(n: int, channels: int) -> Kernel:
    params = (Param("x", n), Param("gate", channels), Param("y", n, OUT))
    return Kernel("multiply_channel", params, {}, ("x",))


def _gate_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y[p, c] = x[p, c] * gate[c]  /  g * gate, and the sum over p of g * x."""
    x, gate = step.args
    n, channels = int(g.ty.shape[0]), int(gate.ty.shape[0])
    if tape.active(gate):
        kernel = Kernel("channel_dot", (Param("a", n), Param("b", n), Param("y", channels, OUT)))
        tape.add(gate, tape.emit(kernel, [g, x]))
    if tape.active(x):
        tape.add(x, tape.emit(_by_channel(n, channels), [g, gate]))


OPS.register(
    Op(
        "multiply_channel",
        elementwise.multiply_channel,
        gradient=Gradient(_gate_gradient, _others),
        tflm=Tflm(20),
        lowers={"relax.multiply": Lower(_lower_gate)},
    )
)
OPS.register(Op("channel_dot", elementwise.channel_dot, tflm=Tflm(21)))

# -------------------------------------------------------------- broadcasting

# After the flat ones, whose kernels stay, and before the constants, which are asked first.
multiary("add", _add, {"a": Side(), "b": Side()})
multiary(
    "multiply",
    _multiply,
    {"a": Side(lambda _kernel, g, b: g * b, ("b",)), "b": Side(lambda _kernel, g, a: g * a, ("a",))},
)


# -------------------------------------------------------------- constants

Line = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _affine(lowering: Lowering, binding: Any, source: Value, scale: np.ndarray, shift: np.ndarray) -> bool:
    """y = x * scale + shift with constants of one value or one per channel; other constants are declined."""
    channels = source.shape[-1] if source.shape else 1
    if source.var is None or not all(per_channel(array, channels) for array in (scale, shift)):
        return False
    scale, shift = (np.asarray(v, np.float32).ravel() for v in (scale, shift))
    channels = max(scale.size, shift.size)
    constants = [relax.const(np.ascontiguousarray(np.broadcast_to(v, (channels,)))) for v in (scale, shift)]
    n = source.elements
    params = (Param("x", n), Param("scale", channels), Param("shift", channels), Param("y", n, OUT))
    lowering.define(binding, Kernel("affine", params, {}, ("x",)), [source.var, *constants])
    return True


def _lower_commutative(line: Line) -> Lower:
    """line: scale and shift that a constant operand stands for; with none the operator is no affine one."""

    def lower(lowering: Lowering, binding: Any) -> bool:
        a, b = _operands(lowering, binding)
        if a.array is not None:
            a, b = b, a
        return b.array is not None and _affine(lowering, binding, a, *line(b.array))

    return Lower(lower)


def _lower_subtract(lowering: Lowering, binding: Any) -> bool:
    a, b = _operands(lowering, binding)
    if b.array is not None:
        return _affine(lowering, binding, a, np.ones(1), -b.array)
    if a.array is not None:
        return _affine(lowering, binding, b, -np.ones(1), a.array)
    return False


def _lower_divide(lowering: Lowering, binding: Any) -> bool:
    a, b = _operands(lowering, binding)
    if b.array is None:
        return False
    return _affine(lowering, binding, a, 1.0 / b.array.astype(np.float64), np.zeros(1))


def _lower_negative(lowering: Lowering, binding: Any) -> bool:
    return _affine(lowering, binding, lowering.plain(binding.value.args[0]), -np.ones(1), np.zeros(1))


def _affine_gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x * scale + shift  /  g * scale."""
    x, scale, _ = step.args
    if tape.active(x):
        tape.add(x, tape.emit(_by_channel(int(g.ty.shape[0]), int(scale.ty.shape[0])), [g, scale]))


OPS.register(
    Op(
        "affine",
        elementwise.affine,
        gradient=Gradient(_affine_gradient),
        tflm=Tflm(34),
        lowers={
            "relax.add": _lower_commutative(lambda constant: (np.ones(1), constant)),
            "relax.multiply": _lower_commutative(lambda constant: (constant, np.zeros(1))),
            "relax.subtract": Lower(_lower_subtract),
            "relax.divide": Lower(_lower_divide),
            "relax.negative": Lower(_lower_negative),
        },
    )
)
