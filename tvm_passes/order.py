# SPDX-License-Identifier: Apache-2.0
"""Put the calls of a function in the order with the smallest peak of live memory that is found.

Before::

    a = conv2d_grad_input(g, rows)         # g, x and a alive
    d = conv2d_grad_weights(x, g, ...)

After, where that frees x and g sooner and nothing in place forbids it::

    d = conv2d_grad_weights(x, g, ...)
    a = conv2d_grad_input(g, rows)

Among the calls whose operands are there, the one that leaves the least alive goes first; ties keep the order given.
If the result is no better than the order given, that stays. Rows that are updated in place are read by everyone before.
"""

from __future__ import annotations

from collections import Counter

import tvm
from tvm import relax

from .kernel import Step, emit, steps_of
from .liveness import buffers_of, lower_bound, root_names
from .sparse_gradient import rebuild


@tvm.transform.module_pass(opt_level=0, name="Order")
class Order:
    """The pass, for every Relax function of the module."""

    def transform_module(self, module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        functions = (
            dict(module.functions_items()) if hasattr(module, "functions_items") else dict(module.functions.items())
        )
        result = {gv.name_hint: f for gv, f in functions.items()}
        for name, function in list(result.items()):
            if not isinstance(function, relax.Function):
                continue
            steps, outputs = steps_of(module, name)
            ordered = _greedy(steps, outputs)
            if _peak(ordered, outputs) < _peak(steps, outputs):
                result[name] = _rebuilt(module, function, ordered, outputs)
        return rebuild(module, result)


def _peak(steps: list[Step], outputs: list[relax.Expr]) -> int:
    return lower_bound(buffers_of(steps, outputs))


def dependencies(steps: list[Step]) -> list[set[int]]:
    """For every step the steps that must come before it: definitions, and hazards of what is written in place."""
    roots = root_names(steps)
    last_write: dict[str, int] = {}
    reads: dict[str, list[int]] = {}
    before: list[set[int]] = []
    for index, step in enumerate(steps):
        read = {roots[a] for a in step.args if isinstance(a, relax.Var)}
        written = {roots[a] for a in step.writes()} | {roots[step.var]}
        # A trained layer's rows are read through the table and written through the pool.
        written |= {f"rows_{w.removeprefix('pool_')}" for w in written if w.startswith("pool_")}
        needs = {last_write[name] for name in read | written if name in last_write}
        needs |= {other for name in written for other in reads.get(name, [])}
        before.append(needs - {index})
        for name in written:
            last_write[name] = index
            reads[name] = []
        for name in read:
            reads.setdefault(name, []).append(index)
    return before


def _greedy(steps: list[Step], outputs: list[relax.Expr]) -> list[Step]:
    before = dependencies(steps)
    after: list[set[int]] = [set() for _ in steps]
    for index, needs in enumerate(before):
        for other in needs:
            after[other].add(index)
    roots = root_names(steps)
    # Looked up once: steps are compared many times where many of them are ready.
    operands = [{roots[a] for a in step.args if isinstance(a, relax.Var)} for step in steps]
    own = [step.kernel.params[-1].bytes if step.alias is None else 0 for step in steps]
    sizes = {roots[step.var]: step.kernel.params[-1].bytes for step in steps if step.alias is None}
    readers = Counter(name for names in operands for name in names)
    kept = {roots[v] for v in outputs if isinstance(v, relax.Var)}
    waiting = [len(needs) for needs in before]
    ready = [i for i, count in enumerate(waiting) if count == 0]
    order = []
    while ready:

        def growth(index: int) -> int:
            freed = (sizes.get(n, 0) for n in operands[index] if readers[n] == 1 and n not in kept)
            return own[index] - sum(freed)

        index = min(ready, key=lambda i: (growth(i), i))
        ready.remove(index)
        order.append(steps[index])
        for name in operands[index]:
            readers[name] -= 1
        for other in after[index]:
            waiting[other] -= 1
            if waiting[other] == 0:
                ready.append(other)
    return order


def _rebuilt(
    module: tvm.IRModule, function: relax.Function, steps: list[Step], outputs: list[relax.Expr]
) -> relax.Function:
    builder = relax.BlockBuilder(module)
    params = {p: relax.Var(str(p.name), p.ty) for p in function.params}
    values: dict[relax.Var, relax.Expr] = dict(params)
    with builder.function("ordered", list(params.values())):
        with builder.dataflow():
            for step in steps:
                values[step.var] = emit(builder, step.kernel, [values.get(a, a) for a in step.args])
            results = [builder.emit_output(values[v]) for v in outputs]
        builder.emit_func_output(results[0] if isinstance(function.body.body, relax.Var) else relax.Tuple(results))
    ordered = builder.get()["ordered"]
    for key, value in function.attrs.items():
        ordered = ordered.with_attr(key, value)
    return ordered
