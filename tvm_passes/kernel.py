# SPDX-License-Identifier: Apache-2.0
"""Kernel declarations: what a PrimFunc computes, before it is decided how.

Every ``call_tir`` of a canonical module calls a *declared* kernel: a PrimFunc with flat buffers and no body, whose
attribute ``tt`` says what it computes::

    @T.prim_func(private=True)
    def conv2d(x: T.Buffer((192,), "float32"), rows: T.Buffer((40,), "float32"), y: T.Buffer((256,), "float32")):
        T.func_attr({"tt": {"op": "conv2d", "roles": ["in", "rows", "out"], "attrs": {"kh": 1, ...}}})
        T.evaluate(0)

The gradient, the cost model, the arena planner and the emitters read the declaration; only the schedule pass gives
it a loop nest. Activations are flat in NHWC order with N = 1; rows are float32 ``(channels, stride)`` flat, a row
being the weights of one output channel in ``(kh, kw, cin)`` order, then its bias, then padding to an even length. In an
int8 program (``quantize``) activations and rows are int8; gradients and trained rows stay float32.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.ir import PrimType

from .kernels.geometry import Window

IN, OUT, INOUT, ROWS = "in", "out", "inout", "rows"
AT_RUN_TIME = 0  # number of chosen channels that the build does not fix
ITEM_BYTES = {"float32": 4, "int32": 4, "uint32": 4, "int8": 1}
LOSS, UPDATE = "loss", "optimizer_update"  # the kernels that are calls of a loss and of an optimiser


@dataclass(frozen=True)
class Param:
    """One buffer of a kernel: its name, number of elements, role (in, out, inout or rows) and dtype."""

    name: str
    elements: int
    role: str = IN
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        """Size of the buffer."""
        return self.elements * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Kernel:
    """A declared kernel.

    Args:
        op: what it computes, one of the names in ``tvm_passes.ops``.
        params: its buffers, in the order of the call. ``out`` buffers come last.
        attrs: geometry and constants: ints, floats and strings.
        overlay: names of the ``in`` buffers that may share the memory of the output (elementwise kernels).
    """

    op: str
    params: tuple[Param, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    overlay: tuple[str, ...] = ()

    def __getitem__(self, attr: str) -> Any:
        return self.attrs[attr]

    def param(self, name: str) -> Param:
        """The parameter of that name."""
        return next(param for param in self.params if param.name == name)

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name."""
        return any(param.name == name for param in self.params)


def row_length(kernel: Kernel) -> int:
    """Weights of one row of a weighted kernel or of its gradient, the bias not counted."""
    w = Window.of(kernel.attrs)
    return w.taps * (1 if kernel.op.startswith("depthwise") else w.depth)


def int8_row_bytes(kernel: Kernel) -> int:
    """Bytes of an int8 row of a weighted kernel, which lies beside each trained row; 0 for a float32 kernel."""
    return int(kernel.attrs.get("int8_stride", 0))


def declare(kernel: Kernel) -> tirx.PrimFunc:
    """The PrimFunc without a body that stands for ``kernel``."""
    # By their text: 1, 1.0 and True are equal, and so are the two zeros.
    attrs = tuple((key, repr(value)) for key, value in kernel.attrs.items())
    key = kernel.op, kernel.params, kernel.overlay, attrs
    if key not in _DECLARED:
        if len(_DECLARED) >= _MOST_DECLARED:
            _DECLARED.clear()
        _DECLARED[key] = _declaration(kernel)
    return _DECLARED[key]


# An unrolled recurrence calls the same few kernels thousands of times, in every pass.
_DECLARED: dict[Hashable, tirx.PrimFunc] = {}
_MOST_DECLARED = 1024


def _declaration(kernel: Kernel) -> tirx.PrimFunc:
    buffers = [tirx.decl_buffer((p.elements,), p.dtype, p.name) for p in kernel.params]
    func = tirx.PrimFunc(buffers, tirx.Evaluate(0), PrimType("void"))
    attrs = {
        "op": kernel.op,
        "roles": [p.role for p in kernel.params],
        "overlay": list(kernel.overlay),
        "attrs": dict(kernel.attrs),
    }
    return func.with_attr("tt", attrs)


def is_declared(func: Any) -> bool:
    """Whether ``func`` is a PrimFunc that carries a kernel declaration."""
    return isinstance(func, tirx.PrimFunc) and func.attrs is not None and "tt" in func.attrs


def kernel_of(func: tirx.PrimFunc) -> Kernel:
    """The declaration that ``func`` carries (it stays readable after the schedule pass).

    Raises:
        ValueError: ``func`` carries no declaration.
    """
    if not is_declared(func):
        raise ValueError(f"expected a PrimFunc with attribute 'tt', received {func}")
    tt = func.attrs["tt"]
    params = tuple(
        Param(str(v.name), int(v.ty.shape[0]), str(role), str(v.ty.dtype))
        for v, role in zip(func.params, tt["roles"], strict=True)
    )
    attrs = {str(k): (str(v) if isinstance(v, str) else v) for k, v in tt["attrs"].items()}
    return Kernel(str(tt["op"]), params, attrs, tuple(str(name) for name in tt["overlay"]))


def flat(elements: int, dtype: str = "float32") -> relax.TensorType:
    """The type of a flat tensor."""
    return relax.TensorType((int(elements),), dtype)


def emit(builder: relax.BlockBuilder, kernel: Kernel, args: Sequence[relax.Expr]) -> relax.Var:
    """Bind a call of ``kernel`` in the builder's dataflow block and return the variable it defines.

    The variable is the one ``out`` buffer, or the last ``inout`` buffer where there is no ``out``. ``inout`` buffers
    make it a ``call_tir_inplace``.
    """
    gv = builder.add_func(declare(kernel), kernel.op)
    inplace = [i for i, p in enumerate(kernel.params) if p.role == INOUT]
    outs = [p for p in kernel.params if p.role == OUT]
    if not inplace:
        return builder.emit(relax.call_tir(gv, list(args), out_ty=flat(outs[0].elements, outs[0].dtype)))
    types = [args[i].ty for i in inplace] + [flat(p.elements, p.dtype) for p in outs]
    indices = inplace + [-1] * len(outs)
    if len(types) == 1:
        return builder.emit(relax.op.call_tir_inplace(gv, list(args), indices, types))
    result = builder.emit(relax.op.call_tir_inplace(gv, list(args), indices, types))
    return builder.emit(relax.TupleGetItem(result, len(types) - 1))


@dataclass(frozen=True)
class Step:
    """One kernel call of a Relax function: arguments and what it defines.

    ``alias`` is the argument that the defined variable shares its memory with (in-place calls), else None.
    """

    gv: tvm.ir.GlobalVar
    kernel: Kernel
    args: tuple[relax.Expr, ...]
    var: relax.Var
    alias: relax.Expr | None

    def writes(self) -> list[relax.Expr]:
        """The arguments that the call writes in place."""
        return [a for a, p in zip(self.args, self.kernel.params, strict=False) if p.role == INOUT]


def steps_of(module: tvm.IRModule, name: str) -> tuple[list[Step], list[relax.Expr]]:
    """The kernel calls of Relax function ``name`` in order, and the expressions that it returns.

    Raises:
        ValueError: a binding is neither a kernel call nor a tuple access.
    """
    call_ops = {tvm.ir.Op.get("relax.call_tir"), tvm.ir.Op.get("relax.call_tir_inplace")}
    kernels: dict[Any, Kernel] = {}
    steps: list[Step] = []
    tuples: dict[relax.Var, Step] = {}
    copies: dict[relax.Var, relax.Expr] = {}
    function = module[name]
    for block in function.body.blocks:
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.TupleGetItem) and value.tuple_value in tuples:
                old = tuples.pop(value.tuple_value)
                steps[steps.index(old)] = replace(old, var=binding.var)
                continue
            if isinstance(value, relax.Var):
                copies[binding.var] = copies.get(value, value)
                continue
            if isinstance(value, relax.Tuple):
                continue
            if not isinstance(value, relax.Call) or value.op not in call_ops:
                raise ValueError(f"expected only kernel calls in '{name}', received {value}")
            gv = value.args[0]
            if gv not in kernels:
                kernels[gv] = kernel_of(module[gv])
            kernel = kernels[gv]
            fields = value.args[1].fields if isinstance(value.args[1], relax.Tuple) else [value.args[1]]
            args = tuple(copies.get(a, a) for a in fields)
            inout = [a for a, p in zip(args, kernel.params, strict=False) if p.role == INOUT]
            has_out = any(p.role == OUT for p in kernel.params)
            step = Step(gv, kernel, args, binding.var, inout[-1] if inout and not has_out else None)
            if len(inout) + has_out > 1:
                tuples[binding.var] = step
            steps.append(step)
    body = function.body.body
    returned = list(body.fields) if isinstance(body, relax.Tuple) else [body]
    return steps, [copies.get(v, v) for v in returned]
