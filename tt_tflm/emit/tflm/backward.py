# SPDX-License-Identifier: Apache-2.0
"""Kernels of the backward pass and of updates as custom ops: one op per kernel, under the kernel's name, or
the one that evaluates scalar expressions.

An output that the arena planner has laid over the first operand becomes an op that works in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tt_tflm.tflite.expression import Program, program
from tt_tflm.tflite.forward import bound_fields
from tt_tflm.tflite.graph import TfliteGraph, Value
from tt_tflm.tflite.op_params import Flag, Op, OpCode, pack
from tvm_passes.kernel import INOUT, Kernel
from tvm_passes.kernels.geometry import Window
from tvm_passes.ops import OPS

Field = float | int | Mapping[str, int] | Program


def emit_backward(
    graph: TfliteGraph,
    kernel: Kernel,
    operands: Sequence[Value],
    active: Value,
    guard: int,
    new: Callable[[], Value],
    offset: int | None,
) -> Value:
    """Add a kernel without weights.

    Args:
        graph: to add to.
        kernel: what.
        operands: its inputs, and what it works on in place, in order.
        active: the candidates that are trained.
        guard: candidates that need the kernel.
        new: makes the output.
        offset: where the arena planner has put the output; None for what is no part of the arena.

    Returns:
        The output.

    Raises:
        UnsupportedLayerError: TFLM has no op of it.
    """
    op, flags, fields = _custom_op(kernel)
    inputs = list(operands)
    if kernel.params[-1].role == INOUT:
        graph.custom(op.tflite_name, [*inputs, active], [], pack(op, flags, guard, **fields))
        return inputs[-1]
    if kernel.op == "add" and inputs[1].offset == offset:
        inputs.reverse()
    if kernel.op == "copy" and inputs[0].offset == offset:
        return inputs[0]
    if kernel.overlay and inputs[0].offset == offset:
        graph.custom(op.tflite_name, [*inputs, active], [], pack(op, flags | Flag.IN_PLACE, guard, **fields))
        return inputs[0]
    output = new()
    graph.custom(op.tflite_name, [*inputs, active], [output], pack(op, flags, guard, **fields))
    return output


def _custom_op(kernel: Kernel) -> tuple[OpCode, Flag, dict[str, Field]]:
    tflm = OPS[kernel.op].tflm
    if tflm is None or kernel.op.upper() not in Op.__members__:
        return Op.EXPRESSION, Flag.ACTIVE, {"expression": program(kernel)}
    op = Op[kernel.op.upper()]
    if "window" in tflm.fields:
        return op, Flag.NONE, {"window": Window.of(kernel.attrs).attrs()}
    if "low" in tflm.fields:
        flags, bounds = bound_fields(kernel)
        return op, flags, {**bounds}
    return op, Flag.NONE, {name: kernel[name] for name in tflm.fields}
