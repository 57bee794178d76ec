# SPDX-License-Identifier: Apache-2.0
"""The gradient of every kernel: one rule per operation, each with its forward form and what backward adds.

A rule gets the tape, the forward step and the gradient ``g`` of the loss with respect to the step's output; it adds to
the gradient of the inputs that need one. ``SAVES`` tells which forward tensors a rule reads, so that a tensor that
nothing else needs is kept as a mask of one bit per element.

In an int8 program gradients are float32 and with respect to the real numbers behind the codes. Rounding passes them
on, saturation does not (the straight-through rule): every kernel that saturates is a clip whose bounds are codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from tvm import relax

from .choice import Trained
from .kernel import IN, INOUT, OUT, Kernel, Param, Step
from .kernels.elementwise import MASK_BITS

BOUNDS = ("low", "high")


class Tape(Protocol):
    """What a rule may ask of the reverse walk."""

    def active(self, var: relax.Expr) -> bool:
        """Whether the gradient of ``var`` is needed."""

    def emit(self, kernel: Kernel, args: list[relax.Expr]) -> relax.Var:
        """Bind a kernel call."""

    def add(self, var: relax.Expr, gradient: relax.Var) -> None:
        """Add to the gradient of ``var``, if it is needed."""

    def add_into(self, var: relax.Expr, make: Callable[[relax.Var | None], relax.Var]) -> None:
        """The same for kernels that can accumulate: ``make`` gets the gradient so far (or None), in place."""

    def trained(self, step: Step) -> Trained | None:
        """What is trained of a weighted step, None when it is frozen."""

    def train(self, step: Step, gradient: relax.Var) -> None:
        """Emit the weight gradient of a trained step."""

    def mask(self, var: relax.Var) -> relax.Var | None:
        """The one-bit mask that the forward pass kept instead of ``var``."""


Rule = Callable[[Tape, Step, relax.Var], None]
RULES: dict[str, Rule] = {}
SAVES: dict[str, Callable[[Tape, Step], Iterable[relax.Expr]]] = {}


def rule(
    op: str, saves: Callable[[Tape, Step], Iterable[relax.Expr]] = lambda _tape, _step: ()
) -> Callable[[Rule], Rule]:
    """Register the rule of ``op``."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        SAVES[op] = saves
        return function

    return register


def clips(kernel: Kernel) -> bool:
    """Whether the kernel ends in a clip (ReLU and ReLU6 are clips)."""
    return any(bound in kernel.attrs for bound in BOUNDS)


def through_clip(tape: Tape, step: Step, g: relax.Var) -> relax.Var:
    """y = clip(z, low, high)  /  g where low < y < high, from y or from its mask."""
    if not clips(step.kernel):
        return g
    n = int(g.ty.shape[0])
    bounds = {k: step.kernel[k] for k in BOUNDS if k in step.kernel.attrs}
    mask = tape.mask(step.var)
    if mask is not None:
        words = Param("mask", -(-n // MASK_BITS), dtype="uint32")
        return tape.emit(Kernel("mask_grad", (Param("g", n), words, Param("dx", n, OUT)), {}, ("g",)), [g, mask])
    dtype = step.kernel.params[-1].dtype
    params = (Param("g", n), Param("y", n, dtype=dtype), Param("dx", n, OUT))
    overlay = ("g", "y") if dtype == "float32" else ("g",)
    return tape.emit(Kernel("clip_grad", params, bounds, overlay), [g, step.var])


def clip_mask(step: Step) -> Kernel:
    """The kernel that keeps the sign mask of a clipped output."""
    n = int(step.var.ty.shape[0])
    bounds = {k: step.kernel[k] for k in BOUNDS if k in step.kernel.attrs}
    y = Param("y", n, dtype=step.kernel.params[-1].dtype)
    return Kernel("clip_mask", (y, Param("mask", -(-n // MASK_BITS), OUT, "uint32")), bounds)


def _weighted_saves(tape: Tape, step: Step) -> Iterable[relax.Expr]:
    choice = tape.trained(step)
    return (step.args[0],) if choice is not None and choice.weights else ()


def _weighted(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = clip(conv(x, w) + b)  /  dx += conv_transposed(g, w); dw = conv(x, g) and db = sum g of chosen channels."""
    g = through_clip(tape, step, g)
    x, rows = step.args
    geometry = {k: v for k, v in step.kernel.attrs.items() if k not in BOUNDS}

    def input_gradient(so_far: relax.Var | None) -> relax.Var:
        role, more = (OUT, []) if so_far is None else (INOUT, [so_far])
        params = (
            Param("g", step.kernel.param("y").elements),
            step.kernel.param("rows"),
            Param("dx", step.kernel.param("x").elements, role),
        )
        return tape.emit(Kernel(f"{step.kernel.op}_grad_input", params, geometry), [g, rows, *more])

    tape.add_into(x, input_gradient)
    if tape.trained(step) is not None:
        tape.train(step, g)


rule("conv2d", _weighted_saves)(_weighted)
rule("depthwise_conv2d", _weighted_saves)(_weighted)


@rule("clip")
@rule("requantize")
def _clip(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = clip(x)  /  g where y lies strictly between the bounds."""
    tape.add(step.args[0], through_clip(tape, step, g))


@rule("dequantize")
def _dequantize(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = the real number behind x  /  g: gradients are those with respect to real numbers."""
    tape.add(step.args[0], g)


def _pairwise(op: str, g: relax.Var, other: relax.Expr, attrs: dict[str, Any], name: str) -> tuple[Kernel, list[Any]]:
    n = int(g.ty.shape[0])
    kernel = Kernel(op, (Param("g", n), Param(name, int(other.ty.shape[0])), Param("dx", n, OUT)), attrs, ("g",))
    return kernel, [g, other]


def _from_output(op: str) -> None:
    @rule(op, lambda _tape, step: (step.var,))
    def _rule(tape: Tape, step: Step, g: relax.Var) -> None:
        """y = f(x)  /  g * f'(x), written with y."""
        tape.add(step.args[0], tape.emit(*_pairwise(f"{op}_grad", g, step.var, dict(step.kernel.attrs), "y")))


for _op in ("leaky_relu", "sigmoid", "tanh", "softmax"):
    _from_output(_op)


@rule("hard_swish", lambda _tape, step: (step.args[0],))
def _hard_swish(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x * clip(x + 3, 0, 6) / 6  /  g * (0, (2x + 3) / 6 or 1)."""
    tape.add(step.args[0], tape.emit(*_pairwise("hard_swish_grad", g, step.args[0], {}, "x")))


@rule("add")
def _add(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a + b, saturated where it is int8  /  g to both."""
    g = through_clip(tape, step, g)
    for operand in step.args:
        tape.add(operand, g)


def _multiply_saves(tape: Tape, step: Step) -> Iterable[relax.Expr]:
    a, b = step.args
    return [other for operand, other in ((a, b), (b, a)) if tape.active(operand)]


@rule("multiply", _multiply_saves)
def _multiply(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a * b  /  g * b and g * a."""
    n = int(g.ty.shape[0])
    for operand, other in (step.args, step.args[::-1]):
        if tape.active(operand):
            kernel = Kernel("multiply", (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a",))
            tape.add(operand, tape.emit(kernel, [g, other]))


@rule("multiply_channel", _multiply_saves)
def _multiply_channel(tape: Tape, step: Step, g: relax.Var) -> None:
    """y[p, c] = x[p, c] * gate[c]  /  g * gate, and the sum over p of g * x."""
    x, gate = step.args
    n, channels = int(g.ty.shape[0]), int(gate.ty.shape[0])
    if tape.active(gate):
        kernel = Kernel("channel_dot", (Param("a", n), Param("b", n), Param("y", channels, OUT)))
        tape.add(gate, tape.emit(kernel, [g, x]))
    if tape.active(x):
        params = (Param("x", n), Param("gate", channels), Param("y", n, OUT))
        tape.add(x, tape.emit(Kernel("multiply_channel", params, {}, ("x",)), [g, gate]))


@rule("affine")
def _affine(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x * scale + shift  /  g * scale."""
    x, scale, _ = step.args
    n, channels = int(g.ty.shape[0]), int(scale.ty.shape[0])
    params = (Param("x", n), Param("gate", channels), Param("y", n, OUT))
    if tape.active(x):
        tape.add(x, tape.emit(Kernel("multiply_channel", params, {}, ("x",)), [g, scale]))


@rule("concat")
def _concat(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = a, b, ... along an axis  /  the slice of g that came from each."""
    outer = step.kernel["outer"]
    offset = 0
    for operand, param in zip(step.args, step.kernel.params, strict=False):
        if tape.active(operand):
            params = (Param("x", int(g.ty.shape[0])), Param("y", param.elements, OUT))
            kernel = Kernel("slice", params, {"outer": outer, "offset": offset})
            tape.add(operand, tape.emit(kernel, [g]))
        offset += param.elements // outer


@rule("pad2d")
def _pad2d(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = x with zeros around it  /  g without them."""
    x = step.args[0]
    if tape.active(x):
        params = (Param("g", int(g.ty.shape[0])), Param("dx", int(x.ty.shape[0]), OUT))
        tape.add(x, tape.emit(Kernel("crop2d", params, dict(step.kernel.attrs)), [g]))


@rule("avg_pool")
def _avg_pool(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = mean of the window  /  g / area to each position of the window."""
    params = (Param("g", int(g.ty.shape[0])), Param("dx", int(step.args[0].ty.shape[0]), OUT))
    tape.add(step.args[0], tape.emit(Kernel("avg_pool_grad", params, dict(step.kernel.attrs)), [g]))


@rule("max_pool", lambda _tape, step: (step.args[0],))
def _max_pool(tape: Tape, step: Step, g: relax.Var) -> None:
    """y = maximum of the window  /  g to the position of the first maximum."""
    x = step.args[0]
    n = int(x.ty.shape[0])
    source = Param("x", n, dtype=step.kernel.param("x").dtype)
    params = (Param("g", int(g.ty.shape[0]), IN), source, Param("dx", n, OUT))
    tape.add(x, tape.emit(Kernel("max_pool_grad", params, dict(step.kernel.attrs)), [g, x]))
