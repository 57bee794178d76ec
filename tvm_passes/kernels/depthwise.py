# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution: forward and input gradient (one correlation serves both), weight gradient.

Two channels lie side by side in memory and go through a tile together, each with its own row. A tile is a few output
columns; the columns at the borders are laid out one by one, so that padding is skipped rather than tested for.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from ..kernel import INOUT, Kernel
from .axis import Axis, forward_axes, gradient_axes
from .conv2d import (
    F32,
    Functions,
    add_scaled,
    buffers,
    clear_fresh,
    grad_bias,
    positions,
    real_input,
    row,
    row_pointers,
    row_scales,
    scale_params,
    trained_channel,
    walk,
    walk_chosen,
)
from .geometry import Window
from .loops import Expr, LoopNest, clipped, code, constant, dtype_of, offset_pointer, prim_func
from .tiling import Tiling

# ---------------------------------------------------------------- forward and input gradient


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = clip(bias + sum of x[o / multiplier] * row[o])."""
    w = Window.of(kernel.attrs)
    x, rows, y = buffers(kernel)
    low, high = kernel.attrs.get("low"), kernel.attrs.get("high")

    def build(lanes: int) -> tirx.PrimFunc:
        nest = LoopNest()
        source = tirx.decl_buffer((w.H * w.W * w.C,), F32, "x")
        target = tirx.decl_buffer((w.pixels * w.O,), F32, "y")
        row_ = row_pointers(lanes, kernel["stride"])

        def finish(index: Expr, sums: list[tirx.Var]) -> None:
            nest.save(target, index, [clipped(s, low, high) for s in sums])

        seeds = [lambda i=i: row_[i][w.taps] for i in range(lanes)]
        correlate(nest, *forward_axes(w), source, (w.W, w.C), row_, w.kw, (w.OW, w.O), seeds, finish, tiling)
        return prim_func([source, *row_, target], nest)

    functions: Functions = {}
    nest = LoopNest()
    for channel, count in walk(nest, w.O, lanes_of(kernel, w, tiling)):
        functions[f"{name}_block{count}"] = build(count)
        source = offset_pointer(x, channel if w.C == w.O else tirx.truncdiv(channel, w.O // w.C))
        nest.call(
            f"{name}_block{count}", source, *(row(rows, channel + i) for i in range(count)), offset_pointer(y, channel)
        )
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def grad_input(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """dx[c] (+)= sum over the output channels of input channel c, and over taps, of g * row."""
    w = Window.of(kernel.attrs)
    g, rows, dx = buffers(kernel)
    multiplier = w.O // w.C
    # With a multiplier several output channels add to one input channel: the first call may assign, the others add.
    accumulate = kernel.param("dx").role == INOUT or multiplier > 1

    def build(lanes: int) -> tirx.PrimFunc:
        nest = LoopNest()
        source = tirx.decl_buffer((w.pixels * w.O,), F32, "g")
        target = tirx.decl_buffer((w.H * w.W * w.C,), F32, "dx")
        row_ = row_pointers(lanes, kernel["stride"], dtype=kernel.param("rows").dtype)
        scales = scale_params(row_)

        def finish(index: Expr, sums: list[tirx.Var]) -> None:
            if scales:
                sums = [s * scale for s, scale in zip(sums, scales, strict=True)]
            if accumulate:
                sums = [s + d for s, d in zip(sums, nest.load("d", target, index, lanes), strict=True)]
            nest.save(target, index, sums)

        seeds = [lambda: constant(0)] * lanes
        for vertical in gradient_axes(w.H, w.OH, w.kh, w.sh, w.pt, w.dh):
            for horizontal in gradient_axes(w.W, w.OW, w.kw, w.sw, w.pl, w.dw):
                correlate(
                    nest, vertical, horizontal, source, (w.OW, w.O), row_, w.kw, (w.W, w.C), seeds, finish, tiling
                )
        return prim_func([source, *row_, *scales, target], nest)

    functions: Functions = {}
    nest = LoopNest()
    if multiplier > 1:
        clear_fresh(nest, kernel, "dx", dx)
    for channel, count in walk(nest, w.O, lanes_of(kernel, w, tiling)):
        functions[f"{name}_block{count}"] = build(count)
        target = offset_pointer(dx, channel if multiplier == 1 else tirx.truncdiv(channel, multiplier))
        pointers = [row(rows, channel + i) for i in range(count)]
        scales = row_scales(rows, channel, count)
        nest.call(f"{name}_block{count}", offset_pointer(g, channel), *pointers, *scales, target)
    functions[name] = prim_func([g, rows, dx], nest)
    return functions


def lanes_of(kernel: Kernel, w: Window, tiling: Tiling) -> int:
    paired = w.C == w.O and w.C % 2 == 0 and tiling.pairs
    return 2 if paired else 1


def correlate(
    nest: LoopNest,
    vertical: Axis,
    horizontal: Axis,
    source: tirx.Var,
    source_pitch: tuple[int, int],
    rows: list[tirx.Var],
    row_width: int,
    target_pitch: tuple[int, int],
    seeds: list[Callable[[], tirx.Var]],
    finish: Callable[[Expr, list[tirx.Var]], None],
    tiling: Tiling,
    zero: int = 0,
) -> None:
    """Emit the correlation of one channel (or two side by side); pitches are (columns of an image row, elements of a
    column). An int8 source, whose code of zero is ``zero``, is summed in int32."""
    lanes = len(rows)
    integer = dtype_of(source) == "int8"
    dtype = "int32" if integer else F32

    def tap_value(value: tirx.Var) -> tirx.Var:
        return code(value, 0, dtype) if dtype_of(rows[0]) == "int8" else value

    columns = _tile_columns(horizontal.taps, lanes)

    def tile(y: Expr, first: Expr, width: int, known: bool) -> None:
        acc = [[nest.local(f"acc{t}{i}", seeds[i](), dtype) for i in range(lanes)] for t in range(width)]
        m_first, m_last = vertical.tap_range(nest, y)
        used = [
            (t, m) for t in range(width) for m in range(horizontal.taps) if not known or horizontal.inside(first + t, m)
        ]
        offsets = sorted({t * horizontal.source_step + m * horizontal.direction for t, m in used})
        base_column = first * horizontal.source_step + horizontal.source_start
        if used:
            with nest.loop("m", m_last, m_first) as m_row:
                line = nest.let("line", (vertical.source(y, m_row) * source_pitch[0] + base_column) * source_pitch[1])
                tap_row = nest.let("tap_row", (vertical.tap + m_row * vertical.tap_step) * row_width)
                taps = {
                    m: [
                        nest.let(
                            f"w{m}{i}", tap_value(rows[i][tap_row + (horizontal.tap + m * horizontal.tap_step)]), dtype
                        )
                        for i in range(lanes)
                    ]
                    for m in sorted({m for _, m in used})
                }
                for k, offset in enumerate(offsets):
                    index = line + offset * source_pitch[1]
                    if integer:
                        codes = [code(source[index + i], zero) for i in range(lanes)]
                        values = [nest.let(f"s{k}{i}", value, dtype) for i, value in enumerate(codes)]
                    else:
                        values = nest.load(f"s{k}", source, index, lanes)
                    for t, m in used:
                        if t * horizontal.source_step + m * horizontal.direction == offset:
                            for i in range(lanes):
                                nest.mac(acc[t][i], values[i], taps[m][i])
        for t in range(width):
            row_index = (y * vertical.step + vertical.start) * target_pitch[0]
            column = (first + t) * horizontal.step + horizontal.start
            finish((row_index + column) * target_pitch[1], [a[0] for a in acc[t]])

    with nest.loop("y", vertical.count) as y:
        borders, (start, number) = horizontal.tiles(columns)
        with nest.loop("tile", number) as index:
            tile(y, index * columns + start, columns, known=False)
        for first, width in borders:
            tile(y, first, width, known=True)


def _tile_columns(taps: int, lanes: int) -> int:
    """Output columns of a tile: as many as leave accumulators, one row of taps and one source in 32 registers."""
    return max(2, min(8, (30 - lanes - lanes * taps) // lanes // 2 * 2)) if lanes == 2 else 4


# ---------------------------------------------------------------- weight gradient


def grad_weights(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """d[k] += scale * gradient of the row of the k-th chosen channel (weights, then bias)."""
    w = Window.of(kernel.attrs)
    x, g, rows, scale, d = buffers(kernel)
    block = f"{name}_block1"
    nest = LoopNest()
    clear_fresh(nest, kernel, "d", d)
    factor = nest.let("factor", scale[0], F32)
    for k, _ in walk_chosen(nest, kernel, rows, 1):
        channel = nest.let("channel", trained_channel(rows, k))
        image = offset_pointer(x, channel if w.C == w.O else tirx.truncdiv(channel, w.O // w.C))
        nest.call(block, image, offset_pointer(g, channel), factor, offset_pointer(d, k * kernel["stride"]))
    return {block: _grad_weights_block(kernel, w), name: prim_func([x, g, rows, scale, d], nest)}


def _grad_weights_block(kernel: Kernel, w: Window) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), kernel.param("x").dtype, "x")
    zero, weight_scale = real_input(kernel)
    g = tirx.decl_buffer((w.pixels * w.O,), F32, "g")
    d = tirx.decl_buffer((kernel["stride"],), F32, "d")
    scale = tirx.Var("scale", F32)
    _, horizontal = forward_axes(w)
    columns = 4
    nest = LoopNest()

    def tile(acc: list[tirx.Var], r: Expr, oy: Expr, first: Expr, width: int, known: bool) -> None:
        used = [(t, s) for t in range(width) for s in range(w.kw) if not known or horizontal.inside(first + t, s)]
        if not used:
            return
        line = nest.let("line", ((oy * w.sh + r * w.dh - w.pt) * w.W + first * w.sw - w.pl) * w.C)
        position = nest.let("position", (oy * w.OW + first) * w.O)
        grads = {t: nest.let(f"g{t}", g[position + t * w.O], F32) for t in sorted({t for t, _ in used})}
        for offset in sorted({t * w.sw + s * w.dw for t, s in used}):
            (value,) = nest.load_real(f"x{offset}", x, line + offset * w.C, 1, zero)
            for t, s in used:
                if t * w.sw + s * w.dw == offset:
                    nest.mac(acc[s], value, grads[t])

    with nest.loop("r", w.kh if kernel["weights"] else 0) as r:
        acc = [nest.local(f"acc{s}", constant(0)) for s in range(w.kw)]
        first, last = positions(nest, "oy", r * w.dh, w.pt, w.sh, w.H, w.OH, w.reach[0])
        with nest.loop("oy", last, first) as oy:
            borders, (start, number) = horizontal.tiles(columns)
            with nest.loop("tile", number) as index:
                tile(acc, r, oy, index * columns + start, columns, known=False)
            for first_column, width in borders:
                tile(acc, r, oy, first_column, width, known=True)
        add_scaled(nest, [d], r * w.kw, [acc], weight_scale(scale))
    if kernel["bias"]:
        grad_bias(nest, [g], [d], scale, w, w.taps)
    return prim_func([x, g, scale, d], nest)
