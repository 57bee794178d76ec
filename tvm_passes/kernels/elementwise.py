# SPDX-License-Identifier: Apache-2.0
"""Elementwise kernels: those that a scalar expression tells, products and sums by channel, one-bit masks, softmax."""

from __future__ import annotations

from collections.abc import Callable

import tvm
from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers
from .loops import Expr, LoopNest, c_call, constant, minimum, prim_func
from .tiling import Tiling

MASK_BITS = 32


def mapped(rule: Callable[..., tirx.Var]) -> Callable[[str, Kernel, Tiling], Functions]:
    """A kernel ``out[i] = rule(kernel, in_0[i], in_1[i], ...)``."""

    def build(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
        *inputs, out = buffers(kernel)
        nest = LoopNest()
        with nest.loop("i", kernel.params[-1].elements) as i:
            nest.store(out, i, rule(kernel, *(b[i] for b in inputs)))
        return {name: prim_func([*inputs, out], nest)}

    build.__doc__ = rule.__doc__
    return build


def strictly_between(kernel: Kernel, y: tirx.Var) -> tirx.Var:
    """Whether a value lies between the bounds of a kernel and on neither."""
    low, high = (
        None if bound is None else tirx.const(bound, kernel.param("y").dtype)
        for bound in (kernel.attrs.get("low"), kernel.attrs.get("high"))
    )
    conditions = ([y > low] if low is not None else []) + ([y < high] if high is not None else [])
    return tirx.all(*conditions)


def accumulate(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """acc[i] += g[i]."""
    g, acc = buffers(kernel)
    nest = LoopNest()
    with nest.loop("i", kernel.params[0].elements) as i:
        nest.store(acc, i, acc[i] + g[i])
    return {name: prim_func([g, acc], nest)}


def affine(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = x * scale + shift, with one scale and shift for every channel or for all (batch norm, rescaling)."""
    x, scale, shift, y = buffers(kernel)
    channels = kernel.params[1].elements
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // channels) as p, nest.loop("c", channels) as c:
        nest.store(y, p * channels + c, x[p * channels + c] * scale[c] + shift[c])
    return {name: prim_func([x, scale, shift, y], nest)}


def multiply_channel(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y[p, c] = x[p, c] * gate[c]."""
    x, gate, y = buffers(kernel)
    channels = kernel.params[1].elements
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // channels) as p, nest.loop("c", channels) as c:
        nest.store(y, p * channels + c, x[p * channels + c] * gate[c])
    return {name: prim_func([x, gate, y], nest)}


def channel_dot(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y[c] = sum over positions of a[p, c] * b[p, c]: the gradient of a gate."""
    a, b, y = buffers(kernel)
    channels = kernel.params[2].elements
    nest = LoopNest()
    with nest.loop("c", channels) as c:
        total = nest.local("total", constant(0))
        with nest.loop("p", kernel.params[0].elements // channels) as p:
            nest.store(total, 0, total[0] + a[p * channels + c] * b[p * channels + c])
        nest.store(y, c, total[0])
    return {name: prim_func([a, b, y], nest)}


def clip_mask(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """One bit per element of y, set where it lies strictly between the bounds; 32 elements in a word."""
    y, mask = buffers(kernel)
    elements = kernel.params[0].elements
    nest = LoopNest()
    with nest.loop("word", -(-elements // MASK_BITS)) as word:
        bits = nest.local("bits", tirx.const(0, "uint32"), "uint32")
        count = MASK_BITS if elements % MASK_BITS == 0 else minimum(MASK_BITS, elements - word * MASK_BITS)
        with nest.loop("b", count) as b:
            bit = tirx.Select(
                strictly_between(kernel, y[word * MASK_BITS + b]), tirx.const(1, "uint32"), tirx.const(0, "uint32")
            )
            nest.store(bits, 0, tirx.bitwise_or(bits[0], tirx.shift_left(bit, tirx.Cast("uint32", b))))
        nest.store(mask, word, bits[0])
    return {name: prim_func([y, mask], nest)}


def mask_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = g where the bit is set, 0 elsewhere."""
    g, mask, dx = buffers(kernel)
    elements = kernel.params[0].elements
    nest = LoopNest()
    with nest.loop("word", -(-elements // MASK_BITS)) as word:
        bits = nest.let("bits", mask[word], "uint32")
        count = MASK_BITS if elements % MASK_BITS == 0 else minimum(MASK_BITS, elements - word * MASK_BITS)
        with nest.loop("b", count) as b:
            index = word * MASK_BITS + b
            one = tirx.const(1, "uint32")
            bit = tirx.bitwise_and(tirx.shift_right(bits, tirx.Cast("uint32", b)), one)
            nest.store(dx, index, tirx.Select(tvm.tirx.EQ(bit, one), g[index], constant(0)))
    return {name: prim_func([g, mask, dx], nest)}


def _peak(nest: LoopNest, x: tirx.Var, p: Expr, classes: int) -> tirx.Var:
    """The largest of the classes at a position."""
    peak = nest.local("peak", x[p * classes])
    with nest.loop("c", classes, 1) as c:
        nest.store(peak, 0, tirx.max(peak[0], x[p * classes + c]))
    return peak


def softmax(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = exp(x - max x) / sum of it, along the last axis."""
    x, y = buffers(kernel)
    classes = kernel["classes"]
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // classes) as p:
        peak = _peak(nest, x, p, classes)
        total = nest.local("total", constant(0))
        with nest.loop("c", classes) as c:
            nest.store(y, p * classes + c, c_call("expf", x[p * classes + c] - peak[0]))
            nest.store(total, 0, total[0] + y[p * classes + c])
        with nest.loop("c", classes) as c:
            nest.store(y, p * classes + c, y[p * classes + c] / total[0])
    return {name: prim_func([x, y], nest)}


def softmax_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = y * (g - sum of g * y), along the last axis."""
    g, y, dx = buffers(kernel)
    classes = kernel["classes"]
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // classes) as p:
        total = nest.local("total", constant(0))
        with nest.loop("c", classes) as c:
            nest.store(total, 0, total[0] + g[p * classes + c] * y[p * classes + c])
        with nest.loop("c", classes) as c:
            index = p * classes + c
            nest.store(dx, index, y[index] * (g[index] - total[0]))
    return {name: prim_func([g, y, dx], nest)}


def log_softmax(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = x - max x - log of the sum of exp(x - max x), along the last axis."""
    x, y = buffers(kernel)
    classes = kernel["classes"]
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // classes) as p:
        peak = _peak(nest, x, p, classes)
        total = nest.local("total", constant(0))
        with nest.loop("c", classes) as c:
            nest.store(total, 0, total[0] + c_call("expf", x[p * classes + c] - peak[0]))
        nest.store(peak, 0, peak[0] + c_call("logf", total[0]))
        with nest.loop("c", classes) as c:
            nest.store(y, p * classes + c, x[p * classes + c] - peak[0])
    return {name: prim_func([x, y], nest)}


def log_softmax_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = g - exp(y) * sum of g, along the last axis."""
    g, y, dx = buffers(kernel)
    classes = kernel["classes"]
    nest = LoopNest()
    with nest.loop("p", kernel.params[0].elements // classes) as p:
        total = nest.local("total", constant(0))
        with nest.loop("c", classes) as c:
            nest.store(total, 0, total[0] + g[p * classes + c])
        with nest.loop("c", classes) as c:
            index = p * classes + c
            nest.store(dx, index, g[index] - c_call("expf", y[index]) * total[0])
    return {name: prim_func([g, y, dx], nest)}
