# SPDX-License-Identifier: Apache-2.0
"""Dense and depthwise convolutions: the operations with rows, which can be trained. A fully connected layer is a dense
convolution of one tap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from tvm import relax

from ..imported_graph import UnsupportedGraphError, Value, clip_bounds, conv_rows, shape_of
from ..kernel import INOUT, OUT, ROWS, Kernel, Param, Step, row_length
from ..kernels import conv2d, conv2d_int8, depthwise, depthwise_int8
from ..kernels.geometry import Window, int8_row_stride
from .clip import BOUNDS, through_clip
from .op import OPS, Gradient, Int8, Integers, Lower, Lowering, Op, Schedule, Tape, Tflm

_PLACE = {"window": "window", "stride": "int32", "candidate": "int32", "copies": "int32"}
_WEIGHTED = {**_PLACE, "low": "float32", "high": "float32"}
_GRAD_WEIGHTS = {**_PLACE, "block": "int32", "scale": "float32"}

# -------------------------------------------------------------- from the imported graph


def _weighted(lowering: Lowering, binding: Any, kind: str, window: Window, source: Value) -> None:
    """Emit a convolution with the bias and the clip that follow it."""
    var, rows = lowering.next_rows(kind)
    attrs: dict[str, Any] = {**window.attrs(), "stride": rows.shape[1]}
    result = binding.var
    bias = lowering.graph.bias(binding, window.O)
    if bias is not None:
        result = bias[0].var
        lowering.cover(result)
    for name in ("clip", "nn.relu"):
        activation = lowering.graph.only_consumer(result, name)
        if activation is not None:
            bounds = (0.0, None) if name == "nn.relu" else clip_bounds(activation.value)
            attrs.update({k: v for k, v in zip(BOUNDS, bounds, strict=True) if v is not None})
            result = activation.var
            lowering.cover(result)
            break
    params = (Param("x", source.elements), Param("rows", rows.size, ROWS), Param("y", window.pixels * window.O, OUT))
    op = "depthwise_conv2d" if kind == "depthwise" else "conv2d"
    lowering.define(binding, Kernel(op, params, attrs), [source.var, var], result)


def _lower_conv2d(lowering: Lowering, binding: Any) -> bool:
    call = binding.value
    source = lowering.operand(call.args[0])
    kh, kw = (int(v) for v in list(call.args[1].ty.shape)[:2])
    height, width, channels = source.shape[1:]
    out_height, out_width, out_channels = shape_of(binding.var)[1:]
    top, left = (int(v) for v in list(call.attrs.padding)[:2])
    sh, sw = (int(v) for v in call.attrs.strides)
    if any(int(d) != 1 for d in call.attrs.dilation):
        raise UnsupportedGraphError(f"expected dilation 1, received {list(call.attrs.dilation)}")
    window = Window(
        height, width, channels, out_height, out_width, out_channels, kh, kw, sh, sw,
        top + source.padding[0], left + source.padding[1],
    )  # fmt: skip
    _weighted(lowering, binding, "conv2d" if int(call.attrs.groups) == 1 else "depthwise", window, source)
    return True


def _lower_matmul(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    channels, out = source.shape[-1], shape_of(binding.var)[-1]
    positions = source.elements // channels
    window = Window(1, positions, channels, 1, positions, out, 1, 1, 1, 1, 0, 0)
    _weighted(lowering, binding, "dense", window, source)
    return True


def _matmul_rows(lowering: Lowering, binding: Any) -> np.ndarray | None:
    weights = lowering.constant(binding.value.args[1])
    if weights is None:
        return None
    return np.ascontiguousarray(weights.reshape(weights.shape[-2:]).T)


# -------------------------------------------------------------- gradient


def _saves(tape: Tape, step: Step) -> Iterable[relax.Expr]:
    choice = tape.trained(step)
    return (step.args[0],) if choice is not None and choice.weights else ()


def _gradient(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = clip(conv(x, w) + b)  /  dx += conv_transposed(g, w); dw = conv(x, g) and db = sum g of chosen channels."""
    g = through_clip(tape, step, g)
    x, rows = step.args
    geometry = {k: v for k, v in step.kernel.attrs.items() if k not in BOUNDS}

    def input_gradient(so_far: relax.Var | None) -> relax.Var:
        role, more = (OUT, []) if so_far is None else (INOUT, [so_far])
        params = (
            Param("g", step.kernel.param("y").elements),
            step.kernel.param("rows"),
            Param("dx", step.kernel.param("x").elements, role),
        )
        return tape.emit(Kernel(f"{step.kernel.op}_grad_input", params, geometry), [g, rows, *more])

    tape.add_into(x, input_gradient)
    if tape.trained(step) is not None:
        tape.train(step, g)


# -------------------------------------------------------------- int8


def _quantize(integers: Integers, step: Step) -> relax.Var:
    attrs = integers.saturating(step.args[0], step.var, step.kernel.attrs)
    return integers.emit(step, attrs | {"int8_stride": int8_row_stride(row_length(step.kernel))})


# -------------------------------------------------------------- registration


def _register(
    name: str,
    forward: Schedule,
    grad_input: Schedule,
    grad_weights: Schedule,
    integer: Schedule,
    lowers: dict[str, Lower],
    code: int,
    depth: Any,
) -> None:
    """The three kernels of a convolution, with TFLM codes from ``code`` on; depth: input channels an output reads."""

    def trained(kernel: Kernel, window: Window) -> int:
        return kernel["trained"] * depth(window) if kernel["weights"] else 0

    def macs(_kernel: Kernel, window: Window) -> int:
        return window.O * depth(window)

    OPS.register(
        Op(
            name,
            forward,
            gradient=Gradient(_gradient, _saves),
            int8=Int8(integer, _quantize),
            tflm=Tflm(code, "weighted", _WEIGHTED),
            lowers=lowers,
            weighted=True,
            macs=macs,
        )
    )
    OPS.register(Op(f"{name}_grad_input", grad_input, tflm=Tflm(code + 1, "weighted", _WEIGHTED), macs=macs))
    OPS.register(
        Op(f"{name}_grad_weights", grad_weights, tflm=Tflm(code + 2, "grad_weights", _GRAD_WEIGHTS), macs=trained)
    )


_register(
    "conv2d",
    conv2d.forward,
    conv2d.grad_input,
    conv2d.grad_weights,
    conv2d_int8.forward,
    {
        "relax.nn.conv2d": Lower(_lower_conv2d, lambda _lowering, binding: conv_rows(binding.value)),
        "relax.matmul": Lower(_lower_matmul, _matmul_rows),
    },
    3,
    lambda window: window.C,
)
_register(
    "depthwise_conv2d",
    depthwise.forward,
    depthwise.grad_input,
    depthwise.grad_weights,
    depthwise_int8.forward,
    {},
    6,
    lambda _window: 1,
)
