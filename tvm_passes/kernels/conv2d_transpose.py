# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution: forward pass, input gradient, weight gradient.

The input has a position for each of a window that moves over the output, so it is walked as a convolution from output
to input is (``Window.transposed``): forward, a position is spread over its window; backward, a window is summed up.
"""

from __future__ import annotations

import functools

from tvm import tirx

from ..kernel import Kernel
from . import conv2d
from .axis import forward_axes
from .conv2d import F32, Functions, buffers, row, row_pointers, scale_params, walk
from .conv2d_spread import add_products, load_gradients, spread, walk_taps, walk_tiles
from .geometry import Window
from .loops import LoopNest, clipped, offset_pointer, prim_func
from .tiling import Tiling


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = clip(bias + sum of x * row[o] over the windows that an output lies in)."""
    w = Window.of(kernel.attrs)
    x, rows, y = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    for channel, count in walk(nest, w.O, tiling.rows):
        block = f"{name}_block{count}"
        functions[block] = _forward_block(kernel, w, count, tiling)
        nest.call(block, x, *(row(rows, channel + i) for i in range(count)), offset_pointer(y, channel))
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def _forward_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), F32, "x")
    y = tirx.decl_buffer((w.pixels * w.O,), F32, "y")
    row_ = row_pointers(rows, kernel["stride"])
    low, high = kernel.attrs.get("low"), kernel.attrs.get("high")
    moved = w.transposed()
    axes = forward_axes(moved)
    nest = LoopNest()
    with nest.loop("p", w.pixels) as p:
        for i in range(rows):
            nest.store(y, p * w.O + i, row_[i][w.taps * w.C])
    for iy, column, pixels, whole in walk_tiles(nest, axes, tiling.pixels):
        source = nest.let("source", (iy * w.W + column) * w.C)
        for position, tap in walk_taps(nest, axes, moved, iy, column, whole):
            target, base = nest.let("target", position * w.O), nest.let("base", tap * w.C)
            indices = [[target + t * w.sw * w.O + i for i in range(rows)] for t in range(pixels)]
            acc = [[nest.local(f"acc{t}{i}", y[at]) for i, at in enumerate(of)] for t, of in enumerate(indices)]
            add_products(nest, acc, x, source, w.C, row_, base, w.C, tiling)
            for t in range(pixels):
                for i in range(rows):
                    nest.store(y, indices[t][i], acc[t][i][0])
    if (low, high) != (None, None):
        with nest.loop("p", w.pixels) as p:
            for i in range(rows):
                nest.store(y, p * w.O + i, clipped(y[p * w.O + i], low, high))
    return prim_func([x, *row_, y], nest)


def grad_input(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """dx (+)= sum over window and output channels of g * row; blocks of channels accumulate one after the other."""
    return conv2d.grad_input_by(_grad_input_block, name, kernel, Window.of(kernel.attrs), tiling)


def _grad_input_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    g = tirx.decl_buffer((w.pixels * w.O,), F32, "g")
    dx = tirx.decl_buffer((w.H * w.W * w.C,), F32, "dx")
    row_ = row_pointers(rows, kernel["stride"], dtype=kernel.param("rows").dtype)
    scales = scale_params(row_)
    moved = w.transposed()
    axes = forward_axes(moved)
    nest = LoopNest()
    for iy, column, pixels, whole in walk_tiles(nest, axes, tiling.pixels):
        target = nest.let("target", (iy * w.W + column) * w.C)
        for position, tap in walk_taps(nest, axes, moved, iy, column, whole):
            source, base = nest.let("source", position * w.O), nest.let("base", tap * w.C)
            grads = load_gradients(nest, g, source, w.sw * w.O, pixels, rows, scales)
            spread(nest, dx, target, w.C, grads, row_, base, w.C, tiling)
    return prim_func([g, *row_, *scales, dx], nest)


grad_weights = functools.partial(conv2d.grad_weights, transposed=True)
