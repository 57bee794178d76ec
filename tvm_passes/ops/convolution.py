# SPDX-License-Identifier: Apache-2.0
"""Dense, depthwise and transposed convolutions: the operations with rows, which can be trained. A fully connected layer
is a dense convolution of one tap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import relax, tirx

from ..imported_graph import UnsupportedGraphError, Value, clip_bounds, conv_rows, shape_of
from ..kernel import INOUT, OUT, ROWS, Kernel, Param, Step, row_length
from ..kernels import (
    conv2d,
    conv2d_int8,
    conv2d_spread,
    conv2d_transpose,
    conv2d_transpose_int8,
    depthwise,
    depthwise_int8,
)
from ..kernels.geometry import Window, int8_row_stride
from ..kernels.tiling import Tiling
from .clip import BOUNDS, through_clip
from .op import OPS, Gradient, Int8, Integers, Lower, Lowering, Op, Schedule, Tape, Tflm

_PLACE = {"window": "window", "stride": "int32", "candidate": "int32", "copies": "int32"}
_WEIGHTED = {**_PLACE, "low": "float32", "high": "float32"}
_GRAD_WEIGHTS = {**_PLACE, "block": "int32", "scale": "float32"}

# -------------------------------------------------------------- from the imported graph


def _weighted(lowering: Lowering, binding: Any, op: str, kind: str, window: Window, source: Value) -> None:
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
    lowering.define(binding, Kernel(op, params, attrs), [source.var, var], result)


def _lower_conv2d(lowering: Lowering, binding: Any) -> bool:
    """relax.nn.conv2d of NHWC, its weights in any layout: (kh, kw, cin / groups, cout) as HWIO, or of a depthwise layer
    (kh, kw, cout, 1) as HWOI. One group for each of several input channels is a depthwise kernel."""
    source = lowering.operand(binding.value.args[0])
    padding = list(binding.value.attrs.padding)
    top, left = (int(v) for v in padding[:2])
    window = _window(binding, source, top + source.padding[0], left + source.padding[1])
    channels, groups = source.shape[-1], int(binding.value.attrs.groups)
    op = "depthwise_conv2d" if channels == groups > 1 else "conv2d"
    if op == "conv2d" and groups > 1:
        window = replace(window, groups=groups)
    kind = "depthwise" if groups > 1 and str(binding.value.attrs.kernel_layout) == "HWOI" else "conv2d"
    _weighted(lowering, binding, op, kind, window, source)
    return True


def _lower_conv2d_transpose(lowering: Lowering, binding: Any) -> bool:
    """relax.nn.conv2d_transpose of NHWC, its weights in any layout; (kh, kw, cout, cin) as HWOI is how Keras has them.

    ``padding`` (top, left, bottom, right) is cut off the output, ``output_padding`` is added below and to the right. As
    TensorFlow has it, an axis of n positions spreads over (n - 1) * stride + (taps - 1) * dilation + 1; what the output
    is shorter is cut off, half of it, rounded down, before it, and what it is longer is added.
    """
    source = lowering.plain(binding.value.args[0])
    if int(binding.value.attrs.groups) != 1:
        raise UnsupportedGraphError(
            f"expected a transposed convolution of one group, received {int(binding.value.attrs.groups)}"
        )
    top, left = (int(v) for v in list(binding.value.attrs.padding)[:2])
    window = _window(binding, source, top, left)
    _weighted(lowering, binding, "conv2d_transpose", "conv2d_transpose", window, source)
    return True


def _window(binding: Any, source: Value, top: int, left: int) -> Window:
    """The window of a convolution in one group."""
    attrs, shape = binding.value.attrs, [int(v) for v in binding.value.args[1].ty.shape]
    kh, kw = (shape[str(attrs.kernel_layout).index(axis)] for axis in "HW")
    sh, sw = (int(v) for v in attrs.strides)
    # One tap is not apart from any other.
    dh, dw = (int(d) if taps > 1 else 1 for d, taps in zip(attrs.dilation, (kh, kw), strict=True))
    height, width, channels = source.shape[1:]
    oh, ow, out = shape_of(binding.var)[1:]
    return Window(height, width, channels, oh, ow, out, kh, kw, sh, sw, top, left, dh, dw)


def _lower_matmul(lowering: Lowering, binding: Any) -> bool:
    source = lowering.plain(binding.value.args[0])
    channels, out = source.shape[-1], shape_of(binding.var)[-1]
    positions = source.elements // channels
    window = Window(1, positions, channels, 1, positions, out, 1, 1, 1, 1, 0, 0)
    _weighted(lowering, binding, "conv2d", "dense", window, source)
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


def _by_window(compact: Schedule, spread: Schedule) -> Schedule:
    """Of two schedules the one for windows without dilation and groups, or that for any."""

    def schedule(name: str, kernel: Kernel, tiling: Tiling) -> dict[str, tirx.PrimFunc]:
        return (compact if Window.of(kernel.attrs).compact() else spread)(name, kernel, tiling)

    return schedule


def _register(
    name: str,
    forward: Schedule,
    grad_input: Schedule,
    grad_weights: Schedule,
    int8: Int8,
    lowers: dict[str, Lower],
    code: int | None,
    depth: Callable[[Window], int],
    transposed: bool = False,
) -> None:
    """The three kernels of a convolution, with TFLM codes from ``code`` on; depth: input channels an output reads."""

    def trained(kernel: Kernel, window: Window) -> int:
        return kernel["trained"] * depth(window) if kernel["weights"] else 0

    def macs(_kernel: Kernel, window: Window) -> int:
        return window.O * depth(window)

    def tflm(offset: int, structure: str, fields: dict[str, str]) -> Tflm | None:
        return None if code is None else Tflm(code + offset, structure, fields)

    OPS.register(
        Op(
            name,
            forward,
            gradient=Gradient(_gradient, _saves),
            int8=int8,
            tflm=tflm(0, "weighted", _WEIGHTED),
            lowers=lowers,
            weighted=True,
            transposed=transposed,
            macs=macs,
        )
    )
    for offset, kernel, schedule, fields, count in (
        (1, "grad_input", grad_input, ("weighted", _WEIGHTED), macs),
        (2, "grad_weights", grad_weights, ("grad_weights", _GRAD_WEIGHTS), trained),
    ):
        OPS.register(Op(f"{name}_{kernel}", schedule, tflm=tflm(offset, *fields), transposed=transposed, macs=count))


def _rows(_lowering: Lowering, binding: Any) -> np.ndarray:
    return conv_rows(binding.value)


_register(
    "conv2d",
    _by_window(conv2d.forward, conv2d_spread.forward),
    _by_window(conv2d.grad_input, conv2d_spread.grad_input),
    conv2d.grad_weights,
    Int8(_by_window(conv2d_int8.forward, conv2d_int8.forward_spread), _quantize),
    {"relax.nn.conv2d": Lower(_lower_conv2d, _rows), "relax.matmul": Lower(_lower_matmul, _matmul_rows)},
    3,
    lambda window: window.depth,
)
_register(
    "depthwise_conv2d",
    depthwise.forward,
    depthwise.grad_input,
    depthwise.grad_weights,
    Int8(depthwise_int8.forward, _quantize),
    {},
    6,
    lambda _window: 1,
)
_register(
    "conv2d_transpose",
    conv2d_transpose.forward,
    conv2d_transpose.grad_input,
    conv2d_transpose.grad_weights,
    Int8(conv2d_transpose_int8.forward, _quantize),
    {"relax.nn.conv2d_transpose": Lower(_lower_conv2d_transpose, _rows)},
    None,
    lambda window: window.C,
    transposed=True,
)
