# SPDX-License-Identifier: Apache-2.0
"""Dense convolution of int8 tensors as TensorFlow Lite's reference kernels compute it; gradients are in ``conv2d``.

The code of zero is taken from an input once for all rows of a tile, or from the bias, where no window meets padding;
padding is skipped, which is what zero adds.
"""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .axis import forward_axes
from .conv2d import Functions, buffers, edge_columns, row, row_pointers, vertical_taps, walk
from .conv2d_spread import Sums, walk_groups, walk_taps, walk_tiles
from .geometry import Window
from .loops import Expr, LoopNest, code, offset_pointer, prim_func, truncated_quotient
from .tiling import Tiling

_I32 = "int32"
_QUAD = "int8x4"
_ZEROS = "int16x2"
_FACTOR = "int32x4"
# Sixteen accumulators, as float32 kernels have, would not fit the registers of a Cortex-M.
PIXELS, ROWS = 2, 2
_WORTH_FOLDING = 16


def requantizers(rows: tirx.Var, channel: Expr, count: int) -> list[tirx.Var]:
    """Multipliers, then shifts, of the channels of a block: arguments for ``requantizer_params``."""
    names = ("tt_int8_multiplier", "tt_int8_shift")
    return [tirx.call_extern(_I32, name, rows, channel + i) for name in names for i in range(count)]


def requantizer_params(count: int) -> list[tirx.Var]:
    """The scalar parameters of a block that take ``requantizers``."""
    return [tirx.Var(f"{name}{i}", _I32) for name in ("multiplier", "shift") for i in range(count)]


def made_ready(nest: LoopNest, params: list[tirx.Var]) -> list[tirx.Var]:
    """The factors of a block's channels, from its ``requantizer_params``."""
    count = len(params) // 2
    return [factor(nest, f"by{i}", params[i], params[count + i]) for i in range(count)]


def factor(nest: LoopNest, name: str, multiplier: Expr, shift: Expr) -> tirx.Var:
    """A factor that ``requantized`` takes."""
    return nest.let(name, tirx.call_pure_extern(_FACTOR, "tt_requantizer", multiplier, shift), _FACTOR)


def requantized(kernel: Kernel, total: tirx.Var, by: tirx.Var) -> tirx.Var:
    """The output code that a sum becomes."""
    value = tirx.call_pure_extern(_I32, "tt_requantized", total, by)
    return saturated(kernel, value + kernel["y_zero"])


def saturated(kernel: Kernel, value: tirx.Var) -> tirx.Var:
    """``value`` within the bounds of the kernel."""
    return tirx.call_pure_extern("int8", "tt_saturated", value, kernel["low"], kernel["high"])


def bias(row_: tirx.Var, kernel: Kernel) -> tirx.Var:
    """The bias of a row."""
    return tirx.call_pure_extern(_I32, "tt_int8_bias", row_, kernel["int8_stride"])


def quad(function: str, codes: tirx.Var, index: Expr, *more: tirx.Var) -> tirx.Var:
    """Four neighbouring codes."""
    return tirx.call_pure_extern(_QUAD, function, offset_pointer(codes, index), *more)


def packed_zeros(nest: LoopNest, zero: int) -> tirx.Var:
    """The code of zero as ``add_products`` takes it off."""
    return nest.let("zeros", tirx.call_pure_extern(_ZEROS, "tt_zeros", zero), _ZEROS)


def forward(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """y[o] = saturated(zero + requantized(bias + sum of (x - zero of x) * row[o]))."""
    w = Window.of(kernel.attrs).flattened()
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


def forward_spread(name: str, kernel: Kernel, tiling: Tiling) -> Functions:
    """The same with dilation or groups."""
    w = Window.of(kernel.attrs).flattened()
    x, rows, y = buffers(kernel)
    functions: Functions = {}
    nest = LoopNest()
    for channel, count, source in walk_groups(nest, w, ROWS):
        block = f"{name}_block{count}"
        functions[block] = _spread_block(kernel, w, count, tiling)
        pointers = [row(rows, channel + i) for i in range(count)]
        scalars = requantizers(rows, channel, count)
        nest.call(block, offset_pointer(x, source), *pointers, *scalars, offset_pointer(y, channel))
    functions[name] = prim_func([x, rows, y], nest)
    return functions


def _folds(w: Window, tiling: Tiling) -> bool:
    """Whether the code of zero is taken off once, in the bias, in place of each input: where no tap is skipped, and the
    sum over a row that this takes is spread over enough positions."""
    inside = (w.pt, w.pl) == (0, 0) and (w.OH - 1) * w.sh + w.kh <= w.H and (w.OW - 1) * w.sw + w.kw <= w.W
    return tiling.pairs and inside and w.pixels >= _WORTH_FOLDING


def _folded_bias(nest: LoopNest, name: str, kernel: Kernel, row_: tirx.Var, weights: int) -> tirx.Var:
    """Bias less the code of zero times the sum of the weights."""
    zeros = tirx.call_pure_extern(_ZEROS, "tt_zeros", -kernel["x_zero"])
    minus = nest.let("minus", tirx.call_pure_extern(_QUAD, "tt_quad_of", zeros), _QUAD)
    total = nest.local(name, bias(row_, kernel), _I32)
    with nest.loop("q", weights // 4) as q:
        product = tirx.call_pure_extern(_I32, "tt_quad_product", total[0], quad("tt_quad", row_, q * 4), minus)
        nest.store(total, 0, product)
    with nest.loop("j", weights, weights // 4 * 4) as j:
        nest.store(total, 0, total[0] - code(row_[j]) * kernel["x_zero"])
    return total[0]


def add_products(
    nest: LoopNest,
    acc: Sums,
    x: tirx.Var,
    source: Expr,
    step: int,
    rows: list[tirx.Var],
    base: Expr,
    span: tuple[Expr, Expr],
    quads: bool,
    zero: int,
    zeros: tirx.Var,
) -> None:
    """``acc[t][i] += (x[source + t * step + j] - zero) * rows[i][base + j]`` for all j of ``span``, by fours where
    there are ``quads``."""
    start, stop = span
    rest = start
    if quads:
        number = truncated_quotient(stop - start, 4)
        with nest.loop("q", number) as q:
            j = nest.let("j", start + q * 4)
            taps = [nest.let(f"w{i}", quad("tt_quad", row_, base + j), _QUAD) for i, row_ in enumerate(rows)]
            for t, sums in enumerate(acc):
                index = source + t * step + j
                value = quad("tt_quad_less", x, index, zeros) if zero else quad("tt_quad", x, index)
                value = nest.let(f"x{t}", value, _QUAD)
                for i, of_row in enumerate(sums):
                    total = tirx.call_pure_extern(_I32, "TT_MAC_QUAD", of_row[0], value, taps[i])
                    nest.store(of_row, 0, total)
        rest = start + number * 4
    with nest.loop("j", stop, rest) as j:
        taps = [nest.let(f"w{i}", code(row_[base + j]), _I32) for i, row_ in enumerate(rows)]
        for t, sums in enumerate(acc):
            value = nest.let(f"x{t}", code(x[source + t * step + j], zero), _I32)
            for i, of_row in enumerate(sums):
                nest.mac(of_row, value, taps[i])


def _block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), "int8", "x")
    y = tirx.decl_buffer((w.pixels * w.O,), "int8", "y")
    row_ = row_pointers(rows, kernel["int8_stride"], dtype="int8")
    params = requantizer_params(rows)
    nest = LoopNest()
    factors = made_ready(nest, params)
    zero = 0 if _folds(w, tiling) else kernel["x_zero"]
    if zero == kernel["x_zero"]:
        seeds = [nest.let(f"bias{i}", bias(row_[i], kernel), _I32) for i in range(rows)]
    else:
        seeds = [_folded_bias(nest, f"bias{i}", kernel, row_[i], w.taps * w.C) for i in range(rows)]
    zeros = packed_zeros(nest, zero)

    def tile(oy: Expr, column: Expr, pixels: int, start: Expr, stop: Expr) -> None:
        acc = [[nest.local(f"acc{t}{i}", seeds[i], _I32) for i in range(rows)] for t in range(pixels)]
        first, last = vertical_taps(nest, w, oy)
        with nest.loop("r", last, first) as r:
            source = nest.let("source", ((oy * w.sh + r - w.pt) * w.W + column * w.sw - w.pl) * w.C)
            base = nest.let("base", r * (w.kw * w.C))
            quads = tiling.pairs and w.kw * w.C >= 4
            add_products(nest, acc, x, source, w.sw * w.C, row_, base, (start, stop), quads, zero, zeros)
        for t in range(pixels):
            for i in range(rows):
                total = requantized(kernel, acc[t][i][0], factors[i])
                nest.store(y, (oy * w.OW + column + t) * w.O + i, total)

    with nest.loop("oy", w.OH) as oy:
        first, last = w.interior_columns()
        tiles = (last - first) // PIXELS
        with nest.loop("ox", tiles) as ox:
            tile(oy, ox * PIXELS + first, PIXELS, 0, w.kw * w.C)
        for column, start, stop in edge_columns(nest, w, first, first + tiles * PIXELS):
            tile(oy, column, 1, start, stop)
    return prim_func([x, *row_, *params, y], nest)


def _spread_block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), "int8", "x")
    y = tirx.decl_buffer((w.pixels * w.O,), "int8", "y")
    row_ = row_pointers(rows, kernel["int8_stride"], dtype="int8")
    params = requantizer_params(rows)
    quads = tiling.pairs and w.depth >= 4
    axes = forward_axes(w)
    nest = LoopNest()
    factors = made_ready(nest, params)
    seeds = [nest.let(f"bias{i}", bias(row_[i], kernel), _I32) for i in range(rows)]
    zero = kernel["x_zero"]
    zeros = packed_zeros(nest, zero)
    for oy, column, pixels, whole in walk_tiles(nest, axes, PIXELS):
        acc = [[nest.local(f"acc{t}{i}", seeds[i], _I32) for i in range(rows)] for t in range(pixels)]
        for position, tap in walk_taps(nest, axes, w, oy, column, whole):
            source, base = nest.let("source", position * w.C), nest.let("base", tap * w.depth)
            add_products(nest, acc, x, source, w.sw * w.C, row_, base, (0, w.depth), quads, zero, zeros)
        for t in range(pixels):
            for i in range(rows):
                nest.store(y, (oy * w.OW + column + t) * w.O + i, requantized(kernel, acc[t][i][0], factors[i]))
    return prim_func([x, *row_, *params, y], nest)
