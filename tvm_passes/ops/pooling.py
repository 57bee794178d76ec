# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows, and means and maxima over all positions, which are windows too."""

from __future__ import annotations

from typing import Any

from tvm import relax

from ..imported_graph import UnsupportedGraphError, Value, shape_of
from ..kernel import IN, OUT, Kernel, Param, Step
from ..kernels import pool
from ..kernels.geometry import Window
from .layout import quantize_same_grid
from .op import OPS, Gradient, Int8, Lower, Lowering, Op, Tape, Tflm


def _pool(op: str) -> Lower:
    def lower(lowering: Lowering, binding: Any) -> bool:
        source = lowering.plain(binding.value.args[0])
        attrs = binding.value.attrs
        if bool(attrs.count_include_pad):
            raise UnsupportedGraphError("expected pooling that leaves padding out, received count_include_pad")
        top, left = (int(v) for v in list(attrs.padding)[:2])
        kh, kw = (int(v) for v in attrs.pool_size)
        sh, sw = (int(v) for v in attrs.strides)
        if source.shape[0] != 1:
            raise UnsupportedGraphError(f"expected pooling of one image, received {source.shape[0]}")
        height, width, channels = source.shape[1:]
        out_height, out_width = shape_of(binding.var)[1:3]
        window = Window(height, width, channels, out_height, out_width, channels, kh, kw, sh, sw, top, left)
        return _window(lowering, binding, op, window, source)

    return Lower(lower)


def _reduce(op: str) -> Lower:
    def lower(lowering: Lowering, binding: Any) -> bool:
        source = lowering.plain(binding.value.args[0])
        rank = len(source.shape)
        given = binding.value.attrs.axis
        axes = list(range(rank)) if given is None else sorted(int(axis) % rank for axis in given)
        if axes != list(range(1, rank - 1)) or not axes or source.shape[0] != 1 or source.var is None:
            return False
        channels = source.shape[-1]
        positions = source.elements // channels
        window = Window(1, positions, channels, 1, 1, channels, 1, positions, 1, 1, 0, 0)
        return _window(lowering, binding, op, window, source)

    return Lower(lower)


def _window(lowering: Lowering, binding: Any, op: str, window: Window, source: Value) -> bool:
    params = (Param("x", source.elements), Param("y", window.pixels * window.C, OUT))
    lowering.define(binding, Kernel(op, params, window.attrs()), [source.var])
    return True


def _avg_pool(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = mean of the window  /  g / area to each position of the window."""
    params = (Param("g", int(g.ty.shape[0])), Param("dx", int(step.args[0].ty.shape[0]), OUT))
    tape.add(step.args[0], tape.emit(Kernel("avg_pool_grad", params, dict(step.kernel.attrs)), [g]))


def _max_pool(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = maximum of the window  /  g to the position of the first maximum."""
    x = step.args[0]
    n = int(x.ty.shape[0])
    source = Param("x", n, dtype=step.kernel.param("x").dtype)
    params = (Param("g", int(g.ty.shape[0]), IN), source, Param("dx", n, OUT))
    tape.add(x, tape.emit(Kernel("max_pool_grad", params, dict(step.kernel.attrs)), [g, x]))


OPS.register(
    Op(
        "avg_pool",
        pool.avg_pool,
        gradient=Gradient(_avg_pool),
        int8=Int8(pool.avg_pool, quantize_same_grid),
        lowers={"relax.nn.avg_pool2d": _pool("avg_pool"), "relax.mean": _reduce("avg_pool")},
    )
)
OPS.register(Op("avg_pool_grad", pool.avg_pool_grad, tflm=Tflm(25, "window", {"window": "window"})))
OPS.register(
    Op(
        "max_pool",
        pool.max_pool,
        gradient=Gradient(_max_pool, lambda _tape, step: (step.args[0],)),
        int8=Int8(pool.max_pool, quantize_same_grid),
        lowers={"relax.nn.max_pool2d": _pool("max_pool"), "relax.max": _reduce("max_pool")},
    )
)
OPS.register(Op("max_pool_grad", pool.max_pool_grad, tflm=Tflm(26, "window", {"window": "window"})))
