# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution of int8 tensors as TensorFlow Lite's reference kernel computes it; gradients are in
``conv2d_transpose``.

A code can only be written once its sum is complete, so here an output gathers what ``conv2d_transpose`` spreads: the
outputs of one phase of the stride read the same taps.
"""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .axis import gradient_axes
from .conv2d import Functions, buffers, row, row_pointers, walk
from .conv2d_int8 import (
    PIXELS,
    ROWS,
    add_products,
    bias,
    made_ready,
    packed_zeros,
    requantized,
    requantizer_params,
    requantizers,
)
from .conv2d_spread import Axes, walk_taps, walk_tiles
from .geometry import Window
from .loops import LoopNest, offset_pointer, prim_func
from .tiling import Tiling


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = saturated(zero + requantized(bias + sum of (x - zero of x) * row[o])) over the windows that it lies in."""
    w = Window.of(kernel.attrs)
    x, rows, y = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    for channel, count in walk(nest, w.O, ROWS):
        block = f"{name}_block{count}"
        functions[block] = _block(kernel, w, count, tiling)
        pointers = [row(rows, channel + i) for i in range(count)]
        nest.call(block, x, *pointers, *requantizers(rows, channel, count), offset_pointer(y, channel))
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def _block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), "int8", "x")
    y = tirx.decl_buffer((w.pixels * w.O,), "int8", "y")
    row_ = row_pointers(rows, kernel["int8_stride"], dtype="int8")
    params = requantizer_params(rows)
    zero, quads = kernel["x_zero"], tiling.pairs and w.C >= 4
    nest = LoopNest()
    factors = made_ready(nest, params)
    seeds = [nest.let(f"bias{i}", bias(row_[i], kernel), "int32") for i in range(rows)]
    zeros = packed_zeros(nest, zero)

    def phase(axes: Axes) -> None:
        vertical, horizontal = axes
        for oy, column, pixels, whole in walk_tiles(nest, axes, PIXELS):
            acc = [[nest.local(f"acc{t}{i}", seeds[i], "int32") for i in range(rows)] for t in range(pixels)]
            for position, tap in walk_taps(nest, axes, w, oy, column, whole):
                source, base = nest.let("source", position * w.C), nest.let("base", tap * w.C)
                add_products(nest, acc, x, source, w.C, row_, base, (0, w.C), quads, zero, zeros)
            first = (oy * vertical.step + vertical.start) * w.OW + horizontal.start
            for t in range(pixels):
                for i in range(rows):
                    index = (first + (column + t) * horizontal.step) * w.O + i
                    nest.store(y, index, requantized(kernel, acc[t][i][0], factors[i]))

    for vertical in gradient_axes(w.OH, w.H, w.kh, w.sh, w.pt, w.dh):
        for horizontal in gradient_axes(w.OW, w.W, w.kw, w.sw, w.pl, w.dw):
            phase((vertical, horizontal))
    return prim_func([x, *row_, *params, y], nest)
