# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution of int8 tensors as TensorFlow Lite's reference kernels compute it; gradients are in
``depthwise``."""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers, row, row_pointers, walk
from .conv2d_int8 import bias, made_ready, requantized, requantizer_params, requantizers
from .depthwise import correlate, forward_axes
from .geometry import Window
from .loops import Expr, LoopNest, offset_pointer, prim_func
from .tiling import Tiling


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = saturated(zero + requantized(bias + sum of (x[o / multiplier] - zero of x) * row[o]))."""
    w = Window.of(kernel.attrs)
    x, rows, y = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    for channel, count in walk(nest, w.O, 1):
        functions[f"{name}_block{count}"] = _block(kernel, w, count, tiling)
        source = offset_pointer(x, channel if w.C == w.O else tirx.truncdiv(channel, w.O // w.C))
        pointers = [row(rows, channel + i) for i in range(count)]
        scalars = requantizers(rows, channel, count)
        nest.call(f"{name}_block{count}", source, *pointers, *scalars, offset_pointer(y, channel))
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def _block(kernel: Kernel, w: Window, lanes: int, tiling: Tiling) -> tirx.PrimFunc:
    source = tirx.decl_buffer((w.H * w.W * w.C,), "int8", "x")
    target = tirx.decl_buffer((w.pixels * w.O,), "int8", "y")
    row_ = row_pointers(lanes, kernel["int8_stride"], dtype="int8")
    params = requantizer_params(lanes)
    nest = LoopNest()
    factors = made_ready(nest, params)
    biases = [nest.let(f"bias{i}", bias(row_[i], kernel), "int32") for i in range(lanes)]

    def finish(index: Expr, sums: list[tirx.Var]) -> None:
        for i, total in enumerate(sums):
            nest.store(target, index + i, requantized(kernel, total, factors[i]))

    seeds = [lambda i=i: biases[i] for i in range(lanes)]
    axes, pitches = forward_axes(w), ((w.W, w.C), (w.OW, w.O))
    correlate(nest, *axes, source, pitches[0], row_, w.kw, pitches[1], seeds, finish, tiling, kernel["x_zero"])
    return prim_func([source, *row_, *params, target], nest)
