# SPDX-License-Identifier: Apache-2.0
"""Dense convolution (and pointwise, 1-D, fully connected): forward, input gradient, weight gradient.

A block kernel computes a few output channels, whose rows it takes as pointers of their own; a walker goes over the
blocks and fetches the pointers from the row table, so that a row may lie in flash or in the row pool. Forward pass and
input gradient of dilated and grouped convolutions are in ``conv2d_spread``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tvm import tirx

from ..kernel import AT_RUN_TIME, OUT, Kernel
from .geometry import Window
from .loops import (
    Expr,
    LoopNest,
    clipped,
    constant,
    dtype_of,
    mac,
    maximum,
    minimum,
    offset_pointer,
    prim_func,
    truncated_quotient,
)
from .tiling import Tiling

F32 = "float32"
Functions = dict[str, tirx.PrimFunc]


def buffers(kernel: Kernel) -> list[tirx.Var]:
    """Fresh buffer variables for the parameters of ``kernel``."""
    return [tirx.decl_buffer((p.elements,), p.dtype, p.name) for p in kernel.params]


def row_pointers(rows: int, length: int, name: str = "row", dtype: str = F32) -> list[tirx.Var]:
    """One buffer variable per row of a block."""
    return [tirx.decl_buffer((length,), dtype, f"{name}{i}") for i in range(rows)]


def blocks(count: int, size: int) -> list[tuple[int, int, int]]:
    """Cut ``count`` channels into ``(first, last, channels per call)``: full blocks, then one call for what is left."""
    full = count // size * size
    parts = [(0, full, size)] if full else []
    return parts + ([(full, count, count - full)] if count > full else [])


def walk(nest: LoopNest, count: int, size: int) -> Iterator[tuple[Expr, int]]:
    """Loop over the blocks of ``count`` channels: yields the first channel and the number of channels of a call."""
    for first, last, rows in blocks(count, size):
        with nest.loop("block", (last - first) // rows) as block:
            yield first + block * rows, rows


def row(rows: tirx.Var, channel: Expr) -> tirx.Var:
    """The pointer to the row of ``channel``, wherever it lies."""
    function = "tt_int8_row" if dtype_of(rows) == "int8" else "tt_row"
    return tirx.call_extern("handle", function, rows.data if hasattr(rows, "data") else rows, channel)


def row_scales(rows: tirx.Var, channel: Expr, count: int) -> list[tirx.Var]:
    """What the numbers of each row of a block are multiplied by: arguments for ``scale_params``."""
    if dtype_of(rows) == F32:
        return []
    return [tirx.call_extern(F32, "tt_int8_weight_scale", rows, channel + i) for i in range(count)]


def scale_params(rows: Sequence[tirx.Var]) -> list[tirx.Var]:
    """The scalar parameters of a block that take ``row_scales``, none for float32 rows."""
    return [tirx.Var(f"scale{i}", F32) for i, row_ in enumerate(rows) if dtype_of(row_) == "int8"]


def vertical_taps(nest: LoopNest, w: Window, oy: Expr) -> tuple[Expr, Expr]:
    """The window rows ``[first, last)`` that fall on the image at output row ``oy``."""
    if w.pt == 0 and (w.OH - 1) * w.sh + w.kh <= w.H:
        return 0, w.kh
    top = w.pt - oy * w.sh
    first = maximum(0, top)
    last = minimum(w.kh, w.H + top)
    return nest.let("r_first", first), nest.let("r_last", last)


def edge_columns(nest: LoopNest, w: Window, first: int, last: int) -> Iterator[tuple[Expr, Expr, Expr]]:
    """Loop over the output columns outside ``[first, last)``: column, first and last valid element of a window row."""
    if first == last:
        first = last = 0
    edges = w.OW - (last - first)
    with nest.loop("edge", edges) as edge:
        if isinstance(edge, int) and edges == 0:
            return
        if first == 0:
            column = edge + last
        elif isinstance(edge, int):
            column = edge if edge < first else edge + last - first
        else:
            column = nest.let("column", tirx.Select(edge < first, edge, edge + (last - first)))
        left = w.pl - column * w.sw
        start = maximum(0, left) * w.C
        stop = minimum(w.kw, w.W + left) * w.C
        yield column, nest.let("j_first", start), nest.let("j_last", stop)


# ---------------------------------------------------------------- forward


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = clip(bias + sum of x * row[o])."""
    w = Window.of(kernel.attrs).flattened()
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
    weights = w.taps * w.C
    width = 2 if tiling.pairs and w.C % 2 == 0 else 1
    nest = LoopNest()

    def tile(oy: Expr, column: Expr, pixels: int, start: Expr, stop: Expr) -> None:
        acc = [[nest.local(f"acc{t}{i}", row_[i][weights]) for i in range(rows)] for t in range(pixels)]
        first, last = vertical_taps(nest, w, oy)
        with nest.loop("r", last, first) as r:
            source = nest.let("source", ((oy * w.sh + r - w.pt) * w.W + column * w.sw - w.pl) * w.C)
            base = nest.let("base", r * (w.kw * w.C))
            pairs = width == 2
            begin = truncated_quotient(start, 2) if pairs else start
            end = truncated_quotient(stop, 2) if pairs else stop
            with nest.loop("j", end, begin) as j:
                j = j * width
                taps = [nest.load(f"w{i}", row_[i], base + j, width) for i in range(rows)]
                for t in range(pixels):
                    values = nest.load(f"x{t}", x, source + (t * w.sw * w.C) + j, width)
                    for lane in range(width):
                        for i in range(rows):
                            nest.mac(acc[t][i], values[lane], taps[i][lane])
        for t in range(pixels):
            for i in range(rows):
                nest.store(y, (oy * w.OW + column + t) * w.O + i, clipped(acc[t][i][0], low, high))

    with nest.loop("oy", w.OH) as oy:
        first, last = w.interior_columns()
        tiles = (last - first) // tiling.pixels
        with nest.loop("ox", tiles) as ox:
            tile(oy, ox * tiling.pixels + first, tiling.pixels, 0, w.kw * w.C)
        for column, start, stop in edge_columns(nest, w, first, first + tiles * tiling.pixels):
            tile(oy, column, 1, start, stop)
    return prim_func([x, *row_, y], nest)


# ---------------------------------------------------------------- input gradient


def grad_input(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """dx (+)= sum over output channels of g * row; blocks of channels accumulate into dx one after the other."""
    return grad_input_by(_grad_input_block, name, kernel, Window.of(kernel.attrs).flattened(), tiling)


def grad_input_by(
    block_of: Callable[[Kernel, Window, int, Tiling], tirx.PrimFunc],
    name: str,
    kernel: Kernel,
    w: Window,
    tiling: Tiling,
) -> Functions:
    """An input gradient to which each block of output channels adds its part; block_of: (kernel, window, channels,
    tiling) -> the block."""
    g, rows, dx = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    clear_fresh(nest, kernel, "dx", dx)
    for channel, count in walk(nest, w.O, tiling.rows):
        block = f"{name}_block{count}"
        functions[block] = block_of(kernel, w, count, tiling)
        scales = row_scales(rows, channel, count)
        nest.call(block, offset_pointer(g, channel), *(row(rows, channel + i) for i in range(count)), *scales, dx)
    functions[name] = prim_func([g, rows, dx], nest)
    return functions


def _grad_input_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    g = tirx.decl_buffer((w.pixels * w.O,), F32, "g")
    dx = tirx.decl_buffer((w.H * w.W * w.C,), F32, "dx")
    row_ = row_pointers(rows, kernel["stride"], dtype=kernel.param("rows").dtype)
    scales = scale_params(row_)
    width = 2 if tiling.pairs and w.C % 2 == 0 else 1
    nest = LoopNest()

    def gradient(index: Expr, i: int) -> tirx.Var:
        return g[index + i] * scales[i] if scales else g[index + i]

    def tile(oy: Expr, column: Expr, pixels: int, start: Expr, stop: Expr) -> None:
        grads = [
            [nest.let(f"g{t}{i}", gradient((oy * w.OW + column + t) * w.O, i), F32) for i in range(rows)]
            for t in range(pixels)
        ]
        first, last = vertical_taps(nest, w, oy)
        with nest.loop("r", last, first) as r:
            target = nest.let("target", ((oy * w.sh + r - w.pt) * w.W + column * w.sw - w.pl) * w.C)
            base = nest.let("base", r * (w.kw * w.C))
            begin = truncated_quotient(start, width)
            end = truncated_quotient(stop, width)
            with nest.loop("j", end, begin) as j:
                j = j * width
                taps = [nest.load_real(f"w{i}", row_[i], base + j, width) for i in range(rows)]
                for t in range(pixels):
                    index = target + (t * w.sw * w.C) + j
                    sums = list(nest.load(f"d{t}", dx, index, width))
                    for lane in range(width):
                        for i in range(rows):
                            sums[lane] = mac(sums[lane], grads[t][i], taps[i][lane])
                    # Bound one by one: as two arguments of a pair's store, counted sums would have no order.
                    nest.save(dx, index, [nest.let(f"s{lane}", total, F32) for lane, total in enumerate(sums)])

    # Neighbouring windows overlap unless the stride covers them; only then may a tile hold several positions.
    pixels = tiling.pixels if w.sw >= w.kw else 1
    with nest.loop("oy", w.OH) as oy:
        first, last = w.interior_columns()
        tiles = (last - first) // pixels
        with nest.loop("ox", tiles) as ox:
            tile(oy, ox * pixels + first, pixels, 0, w.kw * w.C)
        for column, start, stop in edge_columns(nest, w, first, first + tiles * pixels):
            tile(oy, column, 1, start, stop)
    return prim_func([g, *row_, *scales, dx], nest)


# ---------------------------------------------------------------- weight gradient


def grad_weights(name: str, kernel: Kernel, tiling: Tiling, *, transposed: bool = False) -> Functions:
    """d[k] += scale * gradient of the row of the k-th chosen channel (weights, then bias).

    Args:
        transposed: of a transposed convolution, whose window moves over g.
    """
    w = Window.of(kernel.attrs).flattened()
    x, g, rows, scale, d = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    clear_fresh(nest, kernel, "d", d)
    factor = nest.let("factor", scale[0], F32)
    # Chosen channels of several groups read different channels of the input.
    for chosen, count in walk_chosen(nest, kernel, rows, tiling.rows if w.groups == 1 else 1):
        block = f"{name}_block{count}"
        functions[block] = _grad_weights_block(kernel, w, count, tiling, transposed)
        columns = [offset_pointer(g, trained_channel(rows, chosen + i)) for i in range(count)]
        targets = [offset_pointer(d, (chosen + i) * kernel["stride"]) for i in range(count)]
        image = x if w.groups == 1 else of_group(x, w, trained_channel(rows, chosen))
        nest.call(block, image, *columns, factor, *targets)
    functions[name] = prim_func([x, g, rows, scale, d], nest)
    return functions


def of_group(x: tirx.Var, w: Window, channel: Expr) -> tirx.Var:
    """The address of the first channel of the input that an output channel reads."""
    return offset_pointer(x, tirx.truncdiv(channel, w.O // w.groups) * w.depth)


def clear_fresh(nest: LoopNest, kernel: Kernel, name: str, buffer: tirx.Var) -> None:
    """Set a result that blocks accumulate into to zero, unless the caller's values are added to."""
    if kernel.param(name).role == OUT:
        with nest.loop("i", kernel.param(name).elements) as i:
            nest.store(buffer, i, constant(0))


def walk_chosen(nest: LoopNest, kernel: Kernel, rows: tirx.Var, size: int) -> Iterator[tuple[Expr, int]]:
    """Loop over the chosen channels, whose number may be known at run time only: yields as ``walk`` does."""
    if kernel["trained"] != AT_RUN_TIME:
        yield from walk(nest, kernel["trained"], size)
        return
    count = nest.let("count", tirx.call_extern("int32", "tt_trained_channels", rows))
    full = nest.let("full", tirx.truncdiv(count, size))
    with nest.loop("block", full) as block:
        yield block * size, size
    with nest.loop("single", count, full * size) as single:
        yield single, 1


def trained_channel(rows: tirx.Var, index: Expr) -> tirx.Var:
    """The number of the index-th chosen channel."""
    return tirx.call_extern("int32", "tt_trained_channel", rows, index)


def _grad_weights_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling, transposed: bool) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), kernel.param("x").dtype, "x")
    zero, weight_scale = real_input(kernel)
    columns = row_pointers(rows, w.pixels * w.O, "g")
    targets = row_pointers(rows, kernel["stride"], "d")
    scale = tirx.Var("scale", F32)
    weights = w.taps * w.depth
    moved = w.transposed() if transposed else w
    nest = LoopNest()

    def tile(r: Expr, s: Expr, c: Expr, width: int) -> None:
        """Gradient of ``width`` neighbouring input channels at one tap, for all rows of the block."""
        acc = [[nest.local(f"acc{i}{j}", constant(0)) for j in range(width)] for i in range(rows)]
        pairs = tiling.pairs and width % 2 == 0 and w.depth % 2 == 0
        down, right = r * w.dh, s * w.dw
        y_first, y_last = positions(nest, "oy", down, w.pt, w.sh, moved.H, moved.OH, w.reach[0])
        x_first, x_last = positions(nest, "ox", right, w.pl, w.sw, moved.W, moved.OW, w.reach[1])
        with nest.loop("oy", y_last, y_first) as oy:
            with nest.loop("ox", x_last, x_first) as ox:
                under_tap = (oy * w.sh + down - w.pt) * moved.W + ox * w.sw + right - w.pl
                of_window = oy * moved.OW + ox
                of_x, of_g = (of_window, under_tap) if transposed else (under_tap, of_window)
                source = nest.let("source", of_x * w.C + c)
                position = nest.let("position", of_g * w.O)
                step = 2 if pairs else 1
                grads = [nest.let(f"g{i}", columns[i][position], F32) for i in range(rows)]
                for j in range(0, width, step):
                    values = nest.load_real(f"x{j}", x, source + j, step, zero)
                    for lane in range(step):
                        for i in range(rows):
                            nest.mac(acc[i][j + lane], values[lane], grads[i])
        tap = (r * w.kw + s) * w.depth + c
        add_scaled(nest, targets, tap, acc, weight_scale(scale))

    if kernel["weights"]:
        with nest.loop("r", w.kh) as r, nest.loop("s", w.kw) as s:
            for first, last, width in blocks(w.depth, 4):
                with nest.loop("cb", (last - first) // width) as cb:
                    tile(r, s, cb * width + first, width)
    if kernel["bias"]:
        grad_bias(nest, columns, targets, scale, w, weights)
    return prim_func([x, *columns, scale, *targets], nest)


def real_input(kernel: Kernel) -> tuple[int, Callable[[tirx.Var], tirx.Var]]:
    """For the weight gradient of an int8 input: the code of zero, and what makes of the scale of a gradient that of a
    sum over codes. A float32 input needs neither."""
    if kernel.param("x").dtype == F32:
        return 0, lambda scale: scale
    return kernel["x_zero"], lambda scale: scale * constant(kernel["x_scale"])


def add_scaled(
    nest: LoopNest, targets: Sequence[tirx.Var], index: Expr, acc: Sequence[Sequence[tirx.Var]], scale: tirx.Var
) -> None:
    """``targets[i][index + j] += scale * acc[i][j]``."""
    for target, sums in zip(targets, acc, strict=True):
        for j, value in enumerate(sums):
            nest.store(target, index + j, target[index + j] + scale * value[0])


def grad_bias(
    nest: LoopNest, columns: Sequence[tirx.Var], targets: Sequence[tirx.Var], scale: tirx.Var, w: Window, weights: int
) -> None:
    """The bias of a row collects the gradient of every position."""
    acc = [[nest.local(f"bias{i}", constant(0))] for i in range(len(columns))]
    with nest.loop("p", w.pixels) as p:
        for column, sums in zip(columns, acc, strict=True):
            nest.store(sums[0], 0, sums[0][0] + column[p * w.O])
    add_scaled(nest, targets, weights, acc, scale)


def positions(
    nest: LoopNest, name: str, tap: Expr, pad: int, stride: int, size: int, out: int, taps: int
) -> tuple[Expr, Expr]:
    """The output positions ``[first, last)`` at which ``tap`` falls on the image."""
    if pad == 0 and (out - 1) * stride + taps <= size:
        return 0, out
    # C divides towards zero: both dividends are shifted so that a negative one still gives an empty range.
    first = maximum(0, truncated_quotient(pad - tap + (stride - 1), stride))
    last = minimum(out, truncated_quotient(size - 1 + pad - tap + stride, stride))
    return nest.let(f"{name}_first", first), nest.let(f"{name}_last", last)
