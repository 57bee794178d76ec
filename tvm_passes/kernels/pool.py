# SPDX-License-Identifier: Apache-2.0
"""Average and maximum pooling and their gradients; padding never takes part."""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .conv2d import F32, Functions, buffers
from .geometry import Window
from .loops import Expr, LoopNest, code, constant, maximum, minimum, prim_func
from .tiling import Tiling


def _span(nest: LoopNest, name: str, o: Expr, stride: int, pad: int, taps: int, size: int) -> tuple[Expr, Expr]:
    """The image positions ``[first, last)`` under the window at output position ``o``."""
    start = o * stride - pad
    return nest.let(f"{name}_first", maximum(0, start)), nest.let(f"{name}_last", minimum(size, start + taps))


def _area(y0: Expr, y1: Expr, x0: Expr, x1: Expr) -> tirx.Var:
    area = (y1 - y0) * (x1 - x0)
    return constant(area) if isinstance(area, int) else tirx.Cast(F32, area)


def avg_pool(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = mean over the part of the window that lies on the image; int8 tensors have one scale, and their mean is
    rounded as TensorFlow Lite's reference kernel does it."""
    w = Window.of(kernel.attrs)
    x, y = buffers(kernel)
    integer = kernel.params[0].dtype == "int8"
    nest = LoopNest()
    with nest.loop("oy", w.OH) as oy, nest.loop("ox", w.OW) as ox:
        y0, y1 = _span(nest, "iy", oy, w.sh, w.pt, w.kh, w.H)
        x0, x1 = _span(nest, "ix", ox, w.sw, w.pl, w.kw, w.W)
        with nest.loop("c", w.C) as c:
            total = (
                nest.local("total", tirx.const(0, "int32"), "int32") if integer else nest.local("total", constant(0))
            )
            with nest.loop("iy", y1, y0) as iy, nest.loop("ix", x1, x0) as ix:
                value = x[(iy * w.W + ix) * w.C + c]
                nest.store(total, 0, total[0] + (code(value) if integer else value))
            nest.store(y, (oy * w.OW + ox) * w.C + c, _mean(total[0], y0, y1, x0, x1, integer))
    return {name: prim_func([x, y], nest)}


def _mean(total: tirx.Var, y0: Expr, y1: Expr, x0: Expr, x1: Expr, integer: bool) -> tirx.Var:
    if not integer:
        return total / _area(y0, y1, x0, x1)
    return tirx.Cast("int8", tirx.call_pure_extern("int32", "tt_rounded_mean", total, (y1 - y0) * (x1 - x0)))


def avg_pool_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx += g / area, for every window over the position."""
    w = Window.of(kernel.attrs)
    g, dx = buffers(kernel)
    nest = LoopNest()
    _zero(nest, dx, w)
    with nest.loop("oy", w.OH) as oy, nest.loop("ox", w.OW) as ox:
        y0, y1 = _span(nest, "iy", oy, w.sh, w.pt, w.kh, w.H)
        x0, x1 = _span(nest, "ix", ox, w.sw, w.pl, w.kw, w.W)
        with nest.loop("c", w.C) as c:
            share = nest.let("share", g[(oy * w.OW + ox) * w.C + c] / _area(y0, y1, x0, x1), F32)
            with nest.loop("iy", y1, y0) as iy, nest.loop("ix", x1, x0) as ix:
                index = (iy * w.W + ix) * w.C + c
                nest.store(dx, index, dx[index] + share)
    return {name: prim_func([g, dx], nest)}


def max_pool(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = largest value of the window."""
    w = Window.of(kernel.attrs)
    x, y = buffers(kernel)
    integer = kernel.params[0].dtype == "int8"
    nest = LoopNest()

    def value(index: Expr) -> tirx.Var:
        return code(x[index]) if integer else x[index]

    with nest.loop("oy", w.OH) as oy, nest.loop("ox", w.OW) as ox:
        y0, y1 = _span(nest, "iy", oy, w.sh, w.pt, w.kh, w.H)
        x0, x1 = _span(nest, "ix", ox, w.sw, w.pl, w.kw, w.W)
        with nest.loop("c", w.C) as c:
            peak = nest.local("peak", value((y0 * w.W + x0) * w.C + c), "int32" if integer else F32)
            with nest.loop("iy", y1, y0) as iy, nest.loop("ix", x1, x0) as ix:
                nest.store(peak, 0, tirx.max(peak[0], value((iy * w.W + ix) * w.C + c)))
            nest.store(y, (oy * w.OW + ox) * w.C + c, tirx.Cast("int8", peak[0]) if integer else peak[0])
    return {name: prim_func([x, y], nest)}


def max_pool_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx += g at the first largest value of every window, as TensorFlow breaks ties."""
    w = Window.of(kernel.attrs)
    g, x, dx = buffers(kernel)
    nest = LoopNest()
    _zero(nest, dx, w)
    with nest.loop("oy", w.OH) as oy, nest.loop("ox", w.OW) as ox:
        y0, y1 = _span(nest, "iy", oy, w.sh, w.pt, w.kh, w.H)
        x0, x1 = _span(nest, "ix", ox, w.sw, w.pl, w.kw, w.W)
        with nest.loop("c", w.C) as c:
            winner = nest.local("winner", tirx.const(0, "int32") + (y0 * w.W + x0) * w.C + c, "int32")
            with nest.loop("iy", y1, y0) as iy, nest.loop("ix", x1, x0) as ix:
                index = nest.let("index", (iy * w.W + ix) * w.C + c)
                better = x[index] > x[winner[0]]
                nest.store(winner, 0, tirx.Select(better, tirx.const(0, "int32") + index, winner[0]))
            nest.store(dx, winner[0], dx[winner[0]] + g[(oy * w.OW + ox) * w.C + c])
    return {name: prim_func([g, x, dx], nest)}


def _zero(nest: LoopNest, dx: tirx.Var, w: Window) -> None:
    with nest.loop("i", w.H * w.W * w.C) as i:
        nest.store(dx, i, constant(0))
