# SPDX-License-Identifier: Apache-2.0
"""Kernels between int8 tensors that have no weights, and between them and float32, as TensorFlow Lite's reference
kernels compute them."""

from __future__ import annotations

import math

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers
from .conv2d_int8 import factor, requantized
from .loops import LoopNest, code, constant, prim_func
from .tiling import Tiling

_I32 = "int32"
ADD_SHIFT = 20  # bits that operands of a sum are shifted up, to be rounded less


def fixed_point(factor: float) -> tuple[int, int]:
    """A positive factor as multiplier * 2^(shift - 31), the multiplier from 2^30 to 2^31 - 1; (0, 0) for one that is
    too small to make a difference (ops/include/tt_int8.h)."""
    mantissa, shift = math.frexp(factor)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def quantize(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = the codes of x."""
    x, y = buffers(kernel)
    nest = LoopNest()
    count = tirx.const(kernel.params[0].elements, "uint32")
    nest.call("tt_int8_quantize", x, count, constant(kernel["y_scale"]), kernel["y_zero"], y)
    return {name: prim_func([x, y], nest)}


def dequantize(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = the real numbers behind x."""
    x, y = buffers(kernel)
    nest = LoopNest()
    with nest.loop("i", kernel.params[0].elements) as i:
        nest.store(y, i, code(x[i], kernel["x_zero"], "float32") * constant(kernel["x_scale"]))
    return {name: prim_func([x, y], nest)}


def requantize(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = the codes of x in another scale, within bounds."""
    x, y = buffers(kernel)
    nest = LoopNest()
    by = factor(nest, "by", kernel["multiplier"], kernel["shift"])
    with nest.loop("i", kernel.params[0].elements) as i:
        nest.store(y, i, requantized(kernel, code(x[i], kernel["x_zero"]), by))
    return {name: prim_func([x, y], nest)}


def add(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = saturated(a + b), both brought to a common scale first."""
    a, b, y = buffers(kernel)
    nest = LoopNest()
    by = factor(nest, "by", kernel["multiplier"], kernel["shift"])
    sides = [factor(nest, f"by_{s}", kernel[f"{s}_multiplier"], kernel[f"{s}_shift"]) for s in "ab"]
    with nest.loop("i", kernel.params[0].elements) as i:
        parts = []
        for side, buffer, own in zip("ab", (a, b), sides, strict=True):
            shifted = code(buffer[i], kernel[f"{side}_zero"]) * (1 << ADD_SHIFT)
            parts.append(nest.let(side, tirx.call_pure_extern(_I32, "tt_requantized", shifted, own), _I32))
        nest.store(y, i, requantized(kernel, parts[0] + parts[1], by))
    return {name: prim_func([a, b, y], nest)}
