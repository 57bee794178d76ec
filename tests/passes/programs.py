# SPDX-License-Identifier: Apache-2.0
"""Small modules of kernel calls, written as lists, and modules read back as lists of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm
from tvm import relax

from tvm_passes.kernel import IN, INOUT, OUT, ROWS, Kernel, Param, emit, flat, steps_of
from tvm_passes.kernels.geometry import Window, row_stride

Call = tuple[str, Kernel, Sequence[str]]


def module_of(
    name: str,
    params: Mapping[str, int],
    calls: Sequence[Call],
    outputs: Sequence[str] | str,
    module: tvm.IRModule | None = None,
    constants: Mapping[str, relax.Expr] | None = None,
) -> tvm.IRModule:
    """A module with one Relax function of kernel calls, added to ``module`` if there is one.

    Args:
        params: name to elements; those called ``label`` are uint32.
        calls: name of the result, kernel, names of the arguments. A call in place renames what it wrote.
        outputs: names; a string for a function that returns one tensor and no tuple.
        constants: further arguments.
    """
    variables = {n: relax.Var(n, flat(size, "uint32" if n == "label" else "float32")) for n, size in params.items()}
    builder = relax.BlockBuilder() if module is None else relax.BlockBuilder(module)
    values: dict[str, relax.Expr] = {**variables, **(constants or {})}
    with builder.function(name, list(variables.values()), attrs={"global_symbol": name}):
        with builder.dataflow():
            for result, kernel, arguments in calls:
                values[result] = emit(builder, kernel, [values[argument] for argument in arguments])
            names = [outputs] if isinstance(outputs, str) else list(outputs)
            results = [builder.emit_output(values[n]) for n in names]
        builder.emit_func_output(results[0] if isinstance(outputs, str) else relax.Tuple(results))
    return builder.get()


def lines_of(module: tvm.IRModule, name: str) -> list[str]:
    """The calls of a function: ``%3 = op(x, %1, rows_0)``, or ``pool_0 := op(.., pool_0)`` where it writes in place."""
    steps, _ = steps_of(module, name)
    names: dict[relax.Expr, str] = {}
    lines = []
    for step in steps:
        arguments = ", ".join(_name(names, argument) for argument in step.args)
        if step.alias is None:
            count = sum(line.startswith("%") and " = " in line for line in lines)
            names[step.var] = f"%{count}"
        else:
            names[step.var] = _name(names, step.alias)
        lines.append(f"{names[step.var]} {'=' if step.alias is None else ':='} {step.kernel.op}({arguments})")
    return lines


def _name(names: Mapping[relax.Expr, str], expr: relax.Expr) -> str:
    if not isinstance(expr, relax.Var):
        return "const"
    return names.get(expr, str(expr.name))


def params_of(module: tvm.IRModule, name: str) -> list[str]:
    """Names of a function's parameters."""
    return [str(p.name) for p in module[name].params]


def kernels_of(module: tvm.IRModule, name: str, op: str) -> list[Kernel]:
    """The kernels of that operation that a function calls, in order."""
    return [step.kernel for step in steps_of(module, name)[0] if step.kernel.op == op]


# -------------------------------------------------------------- kernels


def conv(w: Window, **bounds: float) -> Kernel:
    """A dense convolution; ``low`` and ``high`` clip its output."""
    return _weighted("conv2d", w, w.taps * w.depth, bounds)


def conv_transpose(w: Window, **bounds: float) -> Kernel:
    """A transposed convolution."""
    return _weighted("conv2d_transpose", w, w.taps * w.C, bounds)


def depthwise(w: Window, **bounds: float) -> Kernel:
    """A depthwise convolution."""
    return _weighted("depthwise_conv2d", w, w.taps, bounds)


def dense(channels: int, out: int, **bounds: float) -> Kernel:
    """A fully connected layer."""
    return conv(Window(1, 1, channels, 1, 1, out, 1, 1, 1, 1, 0, 0), **bounds)


def _weighted(op: str, w: Window, length: int, bounds: Mapping[str, float]) -> Kernel:
    stride = row_stride(length)
    params = (
        Param("x", w.H * w.W * w.C),
        Param("rows", w.O * stride, ROWS),
        Param("y", w.pixels * w.O, OUT),
    )
    return Kernel(op, params, {**w.attrs(), "stride": stride, **bounds})


def unary(op: str, n: int, **attrs: object) -> Kernel:
    """An elementwise kernel of one operand, which its result may overlay."""
    return Kernel(op, (Param("x", n), Param("y", n, OUT)), attrs, ("x",))


def binary(op: str, n: int) -> Kernel:
    """An elementwise kernel of two operands."""
    return Kernel(op, (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a", "b"))


def accumulate(n: int) -> Kernel:
    """acc += g, in place."""
    return Kernel("accumulate", (Param("g", n), Param("acc", n, INOUT)))


def concat(*parts: int) -> Kernel:
    """Vectors one after the other."""
    params = (*(Param(f"x{i}", n, IN) for i, n in enumerate(parts)), Param("y", sum(parts), OUT))
    return Kernel("concat", params, {"outer": 1})


def softmax_loss(classes: int) -> Kernel:
    """The softmax cross-entropy as ``attach_loss`` adds it."""
    params = (
        Param("output", classes),
        Param("label", 1, dtype="uint32"),
        Param("loss", 1, INOUT),
        Param("g", classes, OUT),
    )
    attrs = {"kind": "softmax", "function": "tt_softmax_cross_entropy", "label": "class"}
    return Kernel("loss", params, attrs, ("output",))
