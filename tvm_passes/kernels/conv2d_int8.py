# SPDX-License-Identifier: Apache-2.0
"""Dense convolution of int8 tensors as TensorFlow Lite's reference kernels compute it; gradients are in ``conv2d``.

The code of zero is taken from an input once for all rows of a tile; padding is skipped, which is what zero adds.
"""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers, edge_columns, row, row_pointers, vertical_taps, walk
from .geometry import Window
from .loops import Expr, LoopNest, code, offset_pointer, prim_func, truncated_quotient
from .tiling import Tiling

_I32 = "int32"
_QUAD = "int8x4"
_ZEROS = "int16x2"
_FACTOR = "int32x4"
# Sixteen accumulators, as float32 kernels have, would not fit the registers of a Cortex-M.
PIXELS, ROWS = 2, 2


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


def _block(kernel: Kernel, w: Window, rows: int, tiling: Tiling) -> tirx.PrimFunc:
    x = tirx.decl_buffer((w.H * w.W * w.C,), "int8", "x")
    y = tirx.decl_buffer((w.pixels * w.O,), "int8", "y")
    row_ = row_pointers(rows, kernel["int8_stride"], dtype="int8")
    params = requantizer_params(rows)
    nest = LoopNest()
    factors = made_ready(nest, params)
    seeds = [nest.let(f"bias{i}", bias(row_[i], kernel), _I32) for i in range(rows)]
    zeros = nest.let("zeros", tirx.call_pure_extern(_ZEROS, "tt_zeros", kernel["x_zero"]), _ZEROS)

    def tile(oy: Expr, column: Expr, pixels: int, start: Expr, stop: Expr) -> None:
        acc = [[nest.local(f"acc{t}{i}", seeds[i], _I32) for i in range(rows)] for t in range(pixels)]
        first, last = vertical_taps(nest, w, oy)
        with nest.loop("r", last, first) as r:
            source = nest.let("source", ((oy * w.sh + r - w.pt) * w.W + column * w.sw - w.pl) * w.C)
            base = nest.let("base", r * (w.kw * w.C))
            rest = start
            if tiling.pairs and w.kw * w.C >= 4:
                quads = truncated_quotient(stop - start, 4)
                with nest.loop("q", quads) as q:
                    j = nest.let("j", start + q * 4)
                    taps = [nest.let(f"w{i}", quad("tt_quad", row_[i], base + j), _QUAD) for i in range(rows)]
                    for t in range(pixels):
                        value = quad("tt_quad_less", x, source + (t * w.sw * w.C) + j, zeros)
                        value = nest.let(f"x{t}", value, _QUAD)
                        for i in range(rows):
                            total = tirx.call_pure_extern(_I32, "TT_MAC_QUAD", acc[t][i][0], value, taps[i])
                            nest.store(acc[t][i], 0, total)
                rest = start + quads * 4
            with nest.loop("j", stop, rest) as j:
                taps = [nest.let(f"w{i}", code(row_[i][base + j]), _I32) for i in range(rows)]
                for t in range(pixels):
                    value = nest.let(f"x{t}", code(x[source + (t * w.sw * w.C) + j], kernel["x_zero"]), _I32)
                    for i in range(rows):
                        nest.mac(acc[t][i], value, taps[i])
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
