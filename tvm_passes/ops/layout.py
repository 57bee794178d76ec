# SPDX-License-Identifier: Apache-2.0
"""Concatenation, zero padding of images, and operations that only name a tensor anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from ..imported_graph import UnsupportedGraphError, Value, shape_of
from ..kernel import IN, OUT, Kernel, Param, Step
from ..kernels import layout
from .op import OPS, Gradient, Int8, Integers, Lower, Lowering, Op, Tape, Tflm


def quantize_same_grid(integers: Integers, step: Step) -> relax.Var:
    """Pooling and padding, which compute codes from codes: input and output have one grid. They saturate nothing, so
    that no gradient stops at them."""
    grid = integers.grid(step.var)
    if grid != integers.grid(step.args[0]):
        raise UnsupportedGraphError(f"expected one scale before and after {step.kernel.op}, received two")
    return integers.emit(step, {"y_scale": grid.scale, "y_zero": grid.zero})


# -------------------------------------------------------------- concatenation


def _lower_concat(lowering: Lowering, binding: Any) -> bool:
    fields = binding.value.args[0]
    parts = [lowering.plain(a) for a in (fields.fields if isinstance(fields, relax.Tuple) else [fields])]
    shape = shape_of(binding.var)
    axis = int(binding.value.attrs.axis) % len(shape)
    arrays = [part.array for part in parts if part.array is not None]
    if len(arrays) == len(parts):
        join = np.stack if str(binding.value.op.name) == "relax.stack" else np.concatenate
        lowering.forward(binding, Value(None, shape, join(arrays, axis)))
        return True
    params = tuple(Param(f"x{i}", part.elements, IN) for i, part in enumerate(parts))
    out = Param("y", int(np.prod(shape)), OUT)
    attrs = {"outer": int(np.prod(shape[:axis], dtype=np.int64))}
    lowering.define(binding, Kernel("concat", (*params, out), attrs), [lowering.tensor(part) for part in parts])
    return True


def _concat(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a, b, ... along an axis  /  the slice of g that came from each."""
    outer = step.kernel["outer"]
    offset = 0
    for operand, param in zip(step.args, step.kernel.params, strict=False):
        if tape.active(operand):
            params = (Param("x", int(g.ty.shape[0])), Param("y", param.elements, OUT))
            kernel = Kernel("slice", params, {"outer": outer, "offset": offset})
            tape.add(operand, tape.emit(kernel, [g]))
        offset += param.elements // outer


def _quantize_concat(integers: Integers, step: Step) -> relax.Var:
    """Operands of another grid than the result are brought to that."""
    args = [integers.requantized(var, step.var) for var in step.args]
    grid = integers.grid(step.var)
    return integers.emit(step, {"y_scale": grid.scale, "y_zero": grid.zero}, args)


OPS.register(
    Op(
        "concat",
        layout.concat,
        gradient=Gradient(_concat),
        int8=Int8(layout.concat, _quantize_concat),
        lowers=dict.fromkeys(("relax.concat", "relax.stack"), Lower(_lower_concat)),
    )
)
OPS.register(Op("slice", layout.slice_of, tflm=Tflm(23, "slice", {"outer": "int32", "offset": "int32"})))

# -------------------------------------------------------------- padding


def _lower_pad(lowering: Lowering, binding: Any) -> bool:
    source = lowering.operand(binding.value.args[0])
    widths = [int(v) for v in binding.value.attrs.pad_width]
    value, mode = float(binding.value.attrs.pad_value), str(binding.value.attrs.pad_mode)
    of_image = len(widths) == 8 and source.shape[0] == 1 and min(widths) >= 0 and not any(widths[:2] + widths[6:])
    if not of_image or (value, mode) != (0.0, "constant") or source.array is not None:
        return False
    top, bottom, left, right = widths[2:6]
    old = source.padding
    padded = Value(source.var, source.shape, None, (old[0] + top, old[1] + left, old[2] + bottom, old[3] + right))
    into_windows = all(
        isinstance(c.value, relax.Call) and str(c.value.op.name) == "relax.nn.conv2d"
        for c in lowering.graph.consumers.get(binding.var, [])
    )
    lowering.forward(binding, padded if into_windows else lowering.pad(padded))
    return True


def _pad2d(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x with zeros around it  /  g without them."""
    x = step.args[0]
    if tape.active(x):
        params = (Param("g", int(g.ty.shape[0])), Param("dx", int(x.ty.shape[0]), OUT))
        tape.add(x, tape.emit(Kernel("crop2d", params, dict(step.kernel.attrs)), [g]))


OPS.register(
    Op(
        "pad2d",
        layout.pad2d,
        gradient=Gradient(_pad2d),
        int8=Int8(layout.pad2d, quantize_same_grid),
        lowers={"relax.nn.pad": Lower(_lower_pad)},
    )
)
OPS.register(Op("crop2d", layout.crop2d, tflm=Tflm(24, "window", {"window": "window"})))

# -------------------------------------------------------------- names


def _lower_reshape(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    shape = shape_of(binding.var)
    array = None if source.array is None else source.array.reshape(shape)
    lowering.forward(binding, Value(source.var, shape, array))
    return True


OPS.register(
    Op(
        "reshape",
        lowers=dict.fromkeys(
            ("relax.reshape", "relax.expand_dims", "relax.squeeze"), Lower(_lower_reshape, early=True)
        ),
    )
)
