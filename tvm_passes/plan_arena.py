# SPDX-License-Identifier: Apache-2.0
"""Give every tensor a place in one arena, and make memory explicit.

Before::

    v = R.call_tir(cls.conv2d, (x, rows_0), out_ty=R.Tensor((512,), "float32"))
    w = R.call_tir(cls.clip, (v,), out_ty=R.Tensor((512,), "float32"))
    return w

After::

    arena = R.memory.alloc_storage(R.shape([2048]), 0, "global", "uint8")
    v = R.memory.alloc_tensor(arena, 0, R.shape([512]), "float32")
    _ = cls.conv2d(x, rows_0, v)
    w = R.memory.alloc_tensor(arena, 0, R.shape([512]), "float32")      # the clip's operand dies here
    _ = cls.clip(v, w)
    return w

Every Relax function gets a plan of its own; they share the arena, so the build needs the largest. The attributes
``arena_bytes`` and ``arena_lower_bound_bytes`` hold the sizes of the plan and of the largest set alive at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tvm
from tvm import relax

from .guards import ALWAYS, guards
from .kernel import Kernel, kernel_of, steps_of
from .liveness import buffers_of, lower_bound, memory_of
from .pack import pack
from .sparse_gradient import rebuild


def PlanArena(bits: Mapping[int, int] | None = None) -> tvm.transform.Pass:
    """The pass, for every Relax function of the module.

    Args:
        bits: for builds whose plan is chosen on the board, layer number -> bit of the candidate: the attribute
            ``guards`` then tells for every call which candidates need it (``tvm_passes.guards``).
    """

    @tvm.transform.module_pass(opt_level=0, name="PlanArena")
    def plan(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        functions = {gv.name_hint: f for gv, f in module.functions.items()}
        for name, function in list(functions.items()):
            if isinstance(function, relax.Function):
                functions[name] = _planned(module, name, function, bits)
        return rebuild(module, functions)

    return plan


GUARDED = ("train_step", "apply_update")


def _planned(
    module: tvm.IRModule, name: str, function: relax.Function, bits: Mapping[int, int] | None
) -> relax.Function:
    steps, outputs = steps_of(module, name)
    buffers = buffers_of(steps, outputs)
    memory = memory_of(steps, outputs)
    offsets, size = pack(buffers) if buffers else ({}, 0)
    builder = relax.BlockBuilder(module)
    params = {p: relax.Var(str(p.name), p.ty) for p in function.params}
    values: dict[relax.Var, relax.Expr] = dict(params)
    with builder.function("planned", list(params.values())):
        storage = builder.emit(
            relax.op.memory.alloc_storage(relax.ShapeExpr([size]), 0, "global", "uint8"), name_hint="arena"
        )
        for step in steps:
            args = [values.get(a, a) for a in step.args]
            if step.alias is None:
                out = step.kernel.params[-1]
                place = relax.op.memory.alloc_tensor(
                    storage, offsets[memory[step.var]], relax.ShapeExpr([out.elements]), out.dtype
                )
                values[step.var] = builder.emit(place)
                args.append(values[step.var])
            else:
                values[step.var] = values[step.alias]
            builder.emit(relax.Call(step.gv, args))
        results = [values[v] for v in outputs]
        builder.emit_func_output(results[0] if isinstance(function.body.body, relax.Var) else relax.Tuple(results))
    planned = builder.get()["planned"]
    for key, value in function.attrs.items():
        planned = planned.with_attr(key, value)
    if bits is not None and name in GUARDED:
        # As text: a mask of 64 candidates does not fit a signed integer.
        planned = planned.with_attr("guards", [hex(guard) for guard in guards(steps, bits)])
    return planned.with_attr("arena_bytes", size).with_attr("arena_lower_bound_bytes", lower_bound(buffers))


# -------------------------------------------------------------- reading a planned function


@dataclass(frozen=True)
class Place:
    """A tensor in the arena: byte offset, elements, dtype."""

    offset: int
    elements: int
    dtype: str


@dataclass(frozen=True)
class PlannedCall:
    """A kernel call with every operand named: a parameter of the function (str), a place, or a constant; and which
    candidates need it."""

    name: str
    kernel: Kernel
    operands: tuple[str | Place | relax.Constant, ...]
    guard: int = ALWAYS


@dataclass(frozen=True)
class PlannedFunction:
    """What an emitter needs of a planned function."""

    name: str
    params: tuple[str, ...]
    calls: tuple[PlannedCall, ...]
    outputs: tuple[str | Place, ...]
    arena_bytes: int
    arena_lower_bound_bytes: int


def called_kernels(function: relax.Function) -> set[str]:
    """Names of the kernels that a planned function calls."""
    values = [binding.value for block in function.body.blocks for binding in block.bindings]
    calls = [value for value in values if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar)]
    return {str(call.op.name_hint) for call in calls}


def read_plan(module: tvm.IRModule, name: str) -> PlannedFunction:
    """The planned function ``name`` as plain data."""
    function = module[name]
    places: dict[relax.Var, Place] = {}
    calls: list[PlannedCall] = []
    alloc_tensor = tvm.ir.Op.get("relax.memory.alloc_tensor")
    params = {p: str(p.name) for p in function.params}
    kernels: dict[str, Kernel] = {}  # most are called several times
    masks = [int(str(g), 16) for g in function.attrs["guards"]] if "guards" in function.attrs else None

    def operand(expr: relax.Expr) -> str | Place | relax.Constant:
        if isinstance(expr, relax.Var):
            return params[expr] if expr in params else places[expr]
        return expr

    for block in function.body.blocks:
        for binding in block.bindings:
            value = binding.value
            if not isinstance(value, relax.Call):
                continue
            if isinstance(value.op, tvm.ir.GlobalVar):
                name_of_kernel = str(value.op.name_hint)
                if name_of_kernel not in kernels:
                    kernels[name_of_kernel] = kernel_of(module[value.op])
                guard = masks[len(calls)] if masks is not None else ALWAYS
                operands = tuple(operand(a) for a in value.args)
                calls.append(PlannedCall(name_of_kernel, kernels[name_of_kernel], operands, guard))
            elif value.op == alloc_tensor:
                shape, dtype = value.args[2], value.args[3]
                places[binding.var] = Place(_integer(value.args[1]), int(shape.values[0]), str(dtype.value))
    body = function.body.body
    outputs = list(body.fields) if isinstance(body, relax.Tuple) else [body]
    return PlannedFunction(
        name,
        tuple(params.values()),
        tuple(calls),
        tuple(operand(v) for v in outputs),
        int(function.attrs["arena_bytes"]),
        int(function.attrs["arena_lower_bound_bytes"]),
    )


def _integer(expr: relax.Expr) -> int:
    return int(expr.value.value if hasattr(expr.value, "value") else expr.value)
