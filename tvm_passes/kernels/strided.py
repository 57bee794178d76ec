# SPDX-License-Identifier: Apache-2.0
"""Kernels over an n-dimensional space (``Space``): maps with broadcasting, reductions, products of tensors, moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tvm import tirx

from ..kernel import Kernel
from .conv2d import Functions, buffers
from .loops import Expr, LoopNest, constant, mac, prim_func
from .space import Place, Space, is_injective
from .tiling import Tiling

Build = Callable[[str, Kernel, Tiling], Functions]


@contextmanager
def _loops(nest: LoopNest, space: Space, axes: Sequence[int], index: dict[int, Expr]) -> Iterator[None]:
    """Loops over those axes; ``index`` receives their variables."""
    with ExitStack() as stack:
        for axis in axes:
            index[axis] = stack.enter_context(nest.loop(f"i{axis}", space.shape[axis]))
        yield


def _at(place: Place, index: dict[int, Expr]) -> Expr:
    terms = [
        i if step == 1 else i * step
        for axis, i in sorted(index.items())
        if (step := place.strides[axis]) and not (isinstance(i, int) and i == 0)
    ]
    result: Expr = None
    for term in terms:
        result = term if result is None else result + term
    if result is None:
        return place.offset
    return result + place.offset if place.offset else result


def _split(space: Space) -> tuple[list[int], list[int]]:
    """The axes that the output has, and those that are reduced."""
    strides = space.places[-1].strides
    return [a for a, s in enumerate(strides) if s], [a for a, s in enumerate(strides) if not s]


def strided(rule: Callable[..., tirx.Var]) -> Build:
    """A kernel ``out = rule(kernel, in_0, in_1, ...)`` with broadcasting; summed along the axes that the output does
    not have."""
    return reduced(lambda kernel, total, *operands: total + rule(kernel, *operands), single=rule)


def reduced(
    step: Callable[..., tirx.Var],
    start: Callable[..., tirx.Var] = lambda *_operands: constant(0),
    finish: Callable[[Kernel, tirx.Var], tirx.Var] = lambda _kernel, total: total,
    single: Callable[..., tirx.Var] | None = None,
) -> Build:
    """A kernel that reduces along the axes that its output does not have.

    Args:
        step: (kernel, total, *operands) -> the next total.
        start: (*operands at the first index) -> the total before.
        finish: (kernel, total) -> the output.
        single: (kernel, *operands) -> the output where nothing is reduced; without it as of one step.
    """

    def build(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
        space = Space.of(kernel.attrs)
        *inputs, out = buffers(kernel)
        *sources, target = space.places
        kept, gone = _split(space)
        nest, index = LoopNest(), dict[int, Expr]()

        def operands() -> list[tirx.Var]:
            return [b[_at(place, index)] for b, place in zip(inputs, sources, strict=True)]

        with _loops(nest, space, kept, index):
            if gone or single is None:
                total = nest.local("total", start(*operands()))
                with _loops(nest, space, gone, index):
                    nest.store(total, 0, step(kernel, total[0], *operands()))
                for axis in gone:
                    del index[axis]
                nest.store(out, _at(target, index), finish(kernel, total[0]))
            else:
                nest.store(out, _at(target, index), single(kernel, *operands()))
        return {name: prim_func([*inputs, out], nest)}

    return build


def scaled(kernel: Kernel, x: tirx.Var) -> tirx.Var:
    """``x`` times the attribute ``scale``, if there is one."""
    return x * constant(kernel["scale"]) if "scale" in kernel.attrs else x


total = reduced(lambda _kernel, total, x: total + x, finish=scaled)
"""y = the sum of x along the axes that y does not have, times ``scale``."""
largest = reduced(lambda _kernel, peak, x: tirx.max(peak, x), lambda x: x)
"""y = the largest x along the axes that y does not have."""
smallest = reduced(lambda _kernel, peak, x: tirx.min(peak, x), lambda x: x)
"""y = the smallest x along the axes that y does not have."""
product = reduced(lambda _kernel, total, a, b: mac(total, a, b))
"""y = the sum of a * b along the axes that y does not have: matrix products and their gradients."""


def extremum_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx = g shared evenly by the elements that are the largest (or smallest) y, as TensorFlow shares it."""
    space = Space.of(kernel.attrs)
    g, x, y, dx = buffers(kernel)
    at_g, at_x, at_y, at_dx = space.places
    kept = [axis for axis, step in enumerate(at_y.strides) if step]
    gone = [axis for axis, step in enumerate(at_y.strides) if not step]
    nest, index = LoopNest(), dict[int, Expr]()

    def is_extremum() -> tirx.Var:
        return tirx.EQ(x[_at(at_x, index)], y[_at(at_y, index)])

    with _loops(nest, space, kept, index):
        count = nest.local("count", constant(0))
        with _loops(nest, space, gone, index):
            nest.store(count, 0, count[0] + tirx.Select(is_extremum(), constant(1), constant(0)))
        for axis in gone:
            del index[axis]
        share = nest.let("share", g[_at(at_g, index)] / count[0], "float32")
        with _loops(nest, space, gone, index):
            nest.store(dx, _at(at_dx, index), tirx.Select(is_extremum(), share, constant(0)))
        for axis in gone:
            del index[axis]
    return {name: prim_func([g, x, y, dx], nest)}


def write_strided(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = ``value`` everywhere, and x where it is written to; what is written to one element adds up."""
    space = Space.of(kernel.attrs)
    x, y = buffers(kernel)
    source, target = space.places
    elements = kernel.params[-1].elements
    alone = is_injective(space.shape, target)
    nest, index = LoopNest(), dict[int, Expr]()
    if not alone or space.points < elements:
        with nest.loop("i", elements) as i:
            nest.store(y, i, constant(kernel["value"]))
    with _loops(nest, space, range(len(space.shape)), index):
        at, value = _at(target, index), scaled(kernel, x[_at(source, index)])
        nest.store(y, at, value if alone else y[at] + value)
    return {name: prim_func([x, y], nest)}


def _positions(kernel: Kernel) -> tuple[int, int, int, int]:
    """Extents of a lookup along one axis: before it, of the input's axis, of the output's, behind it."""
    return kernel["outer"], kernel["length"], kernel["count"], kernel["inner"]


def _neighbours(nest: LoopNest, kernel: Kernel, position: tirx.Var) -> tuple[Expr, Expr, tirx.Var | None]:
    """The elements before and behind a position, and how far it lies from the first towards the second; None where
    positions are whole."""
    first = nest.let("first", tirx.Cast("int32", position))
    if not kernel["linear"]:
        return first, first, None
    last = tirx.const(kernel["length"] - 1, "int32")
    second = nest.let("second", tirx.min(first + 1, last))
    return first, second, nest.let("part", position - tirx.Cast("float32", first), "float32")


def take(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """y = x at the given positions of an axis, whole ones, or between two elements (``linear``)."""
    outer, length, count, inner = _positions(kernel)
    x, at, y = buffers(kernel)
    nest = LoopNest()
    with nest.loop("o", outer) as o, nest.loop("j", count) as j:
        first, second, part = _neighbours(nest, kernel, at[j])
        with nest.loop("i", inner) as i:
            low = x[(o * length + first) * inner + i]
            if part is None:
                value = low
            else:
                value = low + (x[(o * length + second) * inner + i] - low) * part
            nest.store(y, (o * count + j) * inner + i, value)
    return {name: prim_func([x, at, y], nest)}


def take_grad(name: str, kernel: Kernel, _tiling: Tiling) -> Functions:
    """dx += g at the positions that it was read from, each part to its element."""
    outer, length, count, inner = _positions(kernel)
    g, at, dx = buffers(kernel)
    nest = LoopNest()
    with nest.loop("i", kernel.params[-1].elements) as i:
        nest.store(dx, i, constant(0))
    with nest.loop("o", outer) as o, nest.loop("j", count) as j:
        first, second, part = _neighbours(nest, kernel, at[j])
        with nest.loop("i", inner) as i:
            value = g[(o * count + j) * inner + i]
            to_first = (o * length + first) * inner + i
            if part is None:
                nest.store(dx, to_first, dx[to_first] + value)
            else:
                to_second = (o * length + second) * inner + i
                nest.store(dx, to_first, dx[to_first] + value * (constant(1) - part))
                nest.store(dx, to_second, dx[to_second] + value * part)
    return {name: prim_func([g, at, dx], nest)}
