# SPDX-License-Identifier: Apache-2.0
"""Kernels that move data: concatenation, slices of it, zero padding, cropping."""

from __future__ import annotations

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers
from .geometry import Window
from .loops import LoopNest, constant, prim_func
from .tiling import Tiling


def concat(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = the inputs one after the other along an axis; ``outer`` is the product of the axes before it."""
    *parts, y = buffers(kernel)
    outer = kernel["outer"]
    total = kernel.params[-1].elements // outer
    nest = LoopNest()
    offset = 0
    for part, param in zip(parts, kernel.params, strict=False):
        length = param.elements // outer
        with nest.loop("o", outer) as o, nest.loop("i", length) as i:
            nest.store(y, o * total + offset + i, part[o * length + i])
        offset += length
    return {name: prim_func([*parts, y], nest)}


def slice_of(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = the part of x at ``offset`` along an axis: the gradient of one input of a concatenation."""
    x, y = buffers(kernel)
    outer, offset = kernel["outer"], kernel["offset"]
    total, length = (p.elements // outer for p in kernel.params)
    nest = LoopNest()
    with nest.loop("o", outer) as o, nest.loop("i", length) as i:
        nest.store(y, o * length + i, x[o * total + offset + i])
    return {name: prim_func([x, y], nest)}


def pad2d(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = x with zeros around it (pt above, pl to the left, the rest below and to the right); int8: with their code."""
    w = Window.of(kernel.attrs)
    x, y = buffers(kernel)
    zero = constant(0) if kernel.params[-1].dtype == "float32" else tirx.const(kernel["y_zero"], "int8")
    nest = LoopNest()
    with nest.loop("i", w.OH * w.OW * w.C) as i:
        nest.store(y, i, zero)
    with nest.loop("iy", w.H) as iy, nest.loop("i", w.W * w.C) as i:
        nest.store(y, ((iy + w.pt) * w.OW + w.pl) * w.C + i, x[iy * (w.W * w.C) + i])
    return {name: prim_func([x, y], nest)}


def crop2d(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = the part of g that is not padding: the gradient of zero padding."""
    w = Window.of(kernel.attrs)
    g, dx = buffers(kernel)
    nest = LoopNest()
    with nest.loop("iy", w.H) as iy, nest.loop("i", w.W * w.C) as i:
        nest.store(dx, iy * (w.W * w.C) + i, g[((iy + w.pt) * w.OW + w.pl) * w.C + i])
    return {name: prim_func([g, dx], nest)}
