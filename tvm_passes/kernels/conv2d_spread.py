# SPDX-License-Identifier: Apache-2.0
"""Dense convolution whose taps lie apart (dilation) or whose channels go in groups: forward pass and input gradient.

``conv2d`` takes a row of the window at once; here it is tap by tap, since only the channels of one tap lie together.
The weight gradient is that of ``conv2d``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvm import tirx

from ..kernel import Kernel
from .axis import Axis, forward_axes
from .conv2d import F32, Functions, buffers, clear_fresh, row, row_pointers, row_scales, scale_params, walk
from .geometry import Window
from .loops import Expr, LoopNest, clipped, mac, offset_pointer, prim_func
from .tiling import Tiling

Axes = tuple[Axis, Axis]  # vertical and horizontal
Sums = list[list[tirx.Var]]  # of every position of a tile and every row of a block

# ---------------------------------------------------------------- walks


def walk_groups(nest: LoopNest, w: Window, size: int) -> Iterator[tuple[Expr, int, Expr]]:
    """Loop over blocks of output channels, none of which holds channels of two groups: yields the first channel, the
    number of channels, and the first input channel of their group."""
    outputs = w.O // w.groups
    with nest.loop("group", w.groups) as group:
        for channel, count in walk(nest, outputs, size):
            yield group * outputs + channel, count, group * w.depth


def walk_tiles(nest: LoopNest, axes: Axes, pixels: int) -> Iterator[tuple[Expr, Expr, int, bool]]:
    """Loop over destinations in tiles: yields row, first column and number of columns, and whether all taps of a row
    lie on the image; where they do not, it is one column."""
    vertical, horizontal = axes
    first, last = horizontal.interior()
    tiled = (last - first) // pixels * pixels
    with nest.loop("oy", vertical.count) as oy:
        with nest.loop("tile", tiled // pixels) as tile:
            yield oy, tile * pixels + first, pixels, True
        with nest.loop("edge", horizontal.count - tiled) as edge:
            if isinstance(edge, int):
                column = edge if edge < first else edge + tiled
            elif tiled == 0:
                column = edge
            else:
                column = nest.let("column", tirx.Select(edge < first, edge, edge + tiled))
            yield oy, column, 1, False


def walk_taps(
    nest: LoopNest, axes: Axes, w: Window, oy: Expr, column: Expr, whole: bool
) -> Iterator[tuple[Expr, Expr]]:
    """Loop over the taps on the image ``w.W`` wide at a destination: yields the position on the image, and the tap."""
    vertical, horizontal = axes
    if not vertical.taps or not horizontal.taps:
        return
    r_first, r_last = vertical.tap_range(nest, oy, "r")
    s_first, s_last = (0, horizontal.taps) if whole else horizontal.tap_range(nest, column, "s")
    with nest.loop("r", r_last, r_first) as r, nest.loop("s", s_last, s_first) as s:
        position = vertical.source(oy, r) * w.W + horizontal.source(column, s)
        tap_row, tap = vertical.tap + r * vertical.tap_step, horizontal.tap + s * horizontal.tap_step
        yield position, tap_row * w.kw + tap


# ---------------------------------------------------------------- forward


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = clip(bias + sum of x * row[o])."""
    w = Window.of(kernel.attrs).flattened()
    x, rows, y = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    for channel, count, source in walk_groups(nest, w, tiling.rows):
        block = f"{name}_block{count}"
        functions[block] = _forward_block(kernel, w, count, tiling)
        pointers = [row(rows, channel + i) for i in range(count)]
        nest.call(block, offset_pointer(x, source), *pointers, offset_pointer(y, channel))
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def _forward_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), F32, "x")
    y = tirx.decl_buffer((w.pixels * w.O,), F32, "y")
    row_ = row_pointers(rows, kernel["stride"])
    low, high = kernel.attrs.get("low"), kernel.attrs.get("high")
    axes = forward_axes(w)
    nest = LoopNest()
    for oy, column, pixels, whole in walk_tiles(nest, axes, tiling.pixels):
        acc = [[nest.local(f"acc{t}{i}", row_[i][w.taps * w.depth]) for i in range(rows)] for t in range(pixels)]
        for position, tap in walk_taps(nest, axes, w, oy, column, whole):
            source, base = nest.let("source", position * w.C), nest.let("base", tap * w.depth)
            add_products(nest, acc, x, source, w.sw * w.C, row_, base, w.depth, tiling)
        for t in range(pixels):
            for i in range(rows):
                nest.store(y, (oy * w.OW + column + t) * w.O + i, clipped(acc[t][i][0], low, high))
    return prim_func([x, *row_, y], nest)


def lanes(depth: int, tiling: Tiling) -> int:
    """Channels that are loaded at once: a pair where every position begins with one."""
    return 2 if tiling.pairs and depth % 2 == 0 else 1


def add_products(
    nest: LoopNest,
    acc: Sums,
    x: tirx.Var,
    source: Expr,
    step: int,
    rows: Sequence[tirx.Var],
    base: Expr,
    depth: int,
    tiling: Tiling,
) -> None:
    """``acc[t][i] += x[source + t * step + c] * rows[i][base + c]`` for all c below ``depth``."""
    width = lanes(depth, tiling)
    with nest.loop("c", depth // width) as c:
        c = c * width
        taps = [nest.load(f"w{i}", row_, base + c, width) for i, row_ in enumerate(rows)]
        for t, sums in enumerate(acc):
            values = nest.load(f"x{t}", x, source + t * step + c, width)
            for lane in range(width):
                for i, total in enumerate(sums):
                    nest.mac(total, values[lane], taps[i][lane])


# ---------------------------------------------------------------- input gradient


def grad_input(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """dx (+)= sum over output channels of g * row; blocks of channels accumulate into dx one after the other."""
    w = Window.of(kernel.attrs).flattened()
    g, rows, dx = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    clear_fresh(nest, kernel, "dx", dx)
    for channel, count, source in walk_groups(nest, w, tiling.rows):
        block = f"{name}_block{count}"
        functions[block] = _grad_input_block(kernel, w, count, tiling)
        pointers = [row(rows, channel + i) for i in range(count)]
        scales = row_scales(rows, channel, count)
        nest.call(block, offset_pointer(g, channel), *pointers, *scales, offset_pointer(dx, source))
    functions[name] = prim_func([g, rows, dx], nest)
    return functions


def _grad_input_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    g = tirx.decl_buffer((w.pixels * w.O,), F32, "g")
    dx = tirx.decl_buffer((w.H * w.W * w.C,), F32, "dx")
    row_ = row_pointers(rows, kernel["stride"], dtype=kernel.param("rows").dtype)
    scales = scale_params(row_)
    axes = forward_axes(w)
    nest = LoopNest()
    for oy, column, pixels, whole in walk_tiles(nest, axes, tiling.pixels):
        grads = load_gradients(nest, g, (oy * w.OW + column) * w.O, w.O, pixels, rows, scales)
        for position, tap in walk_taps(nest, axes, w, oy, column, whole):
            target, base = nest.let("target", position * w.C), nest.let("base", tap * w.depth)
            spread(nest, dx, target, w.sw * w.C, grads, row_, base, w.depth, tiling)
    return prim_func([g, *row_, *scales, dx], nest)


def load_gradients(
    nest: LoopNest, g: tirx.Var, index: Expr, step: int, pixels: int, rows: int, scales: Sequence[tirx.Var]
) -> Sums:
    """The gradients of a tile's positions, ``step`` apart, for each row; those of int8 rows times their scale."""

    def gradient(t: int, i: int) -> tirx.Var:
        value = g[index + t * step + i]
        return nest.let(f"g{t}{i}", value * scales[i] if scales else value, F32)

    return [[gradient(t, i) for i in range(rows)] for t in range(pixels)]


def spread(
    nest: LoopNest,
    dx: tirx.Var,
    target: Expr,
    step: int,
    grads: Sums,
    rows: Sequence[tirx.Var],
    base: Expr,
    depth: int,
    tiling: Tiling,
) -> None:
    """``dx[target + t * step + c] += sum of grads[t][i] * rows[i][base + c]`` for all c below ``depth``."""
    width = lanes(depth, tiling)
    with nest.loop("c", depth // width) as c:
        c = c * width
        taps = [nest.load_real(f"w{i}", row_, base + c, width) for i, row_ in enumerate(rows)]
        for t, of_tile in enumerate(grads):
            index = target + t * step + c
            sums = list(nest.load(f"d{t}", dx, index, width))
            for lane in range(width):
                for i, gradient in enumerate(of_tile):
                    sums[lane] = mac(sums[lane], gradient, taps[i][lane])
            # Bound one by one: as two arguments of a pair's store, counted sums would have no order.
            nest.save(dx, index, [nest.let(f"s{lane}", total, F32) for lane, total in enumerate(sums)])
