# SPDX-License-Identifier: Apache-2.0
"""Let the optimiser change the trained rows, without a gradient buffer where it allows that.

Before::

    def train_step(x, rows_0, ..., scale):
        d0 = R.call_tir(cls.conv2d_grad_weights, (x, g, rows_0, scale), ...)
        return (d0,)

After, for SGD on one sample at a time (``scale`` holds minus the learning rate)::

    def train_step(x, rows_0, ..., scale, pool_0):
        p0 = R.call_tir_inplace(cls.conv2d_grad_weights, (x, g, rows_0, scale, pool_0), inplace_indices=[4], ...)
        return (p0,)

After, for an optimiser with state: ``d0`` lives in the arena until ``optimizer_update(d0, rows_0, hyper, velocity_0,
pool_0)`` has used it. With gradients accumulated over a batch, ``train_step`` adds to ``gradient_0`` (``scale`` holds
one over the batch size) and a function ``apply_update`` holds the optimiser's steps.

The rows of a layer that is used in several places must rest until the gradients of all its uses are known, so that the
gradient is summed in the arena where plain SGD would go into the kernel::

        d0 = R.call_tir(cls.conv2d_grad_weights, (x, g, rows_0, scale), ...)
        d1 = R.call_tir_inplace(cls.conv2d_grad_weights, (v, h, rows_0, scale, d0), inplace_indices=[4], ...)
        p0 = R.call_tir_inplace(cls.accumulate, (d1, pool_0), inplace_indices=[1], ...)

The optimisers take ``rows_<layer>`` for the number of trained rows. ``pool_<layer>`` is where the rows of
``rows_<layer>`` that are trained live, so an update must follow every reader.
"""

from __future__ import annotations

from collections.abc import Mapping

import tvm
from tvm import relax

from .kernel import INOUT, OUT, ROWS, UPDATE, Kernel, Param, emit, flat, steps_of
from .sparse_gradient import layer_of, rebuild
from .specs import OptimizerSpec


def UpdateInPlace(optimizer: OptimizerSpec) -> tvm.transform.Pass:
    """The pass for that optimiser.

    Raises:
        ValueError: channels are chosen on the board, and plain SGD is to be part of the gradient kernels of a layer of
            several uses (see ``OptimizerSpec.keeping_gradients``).
    """

    @tvm.transform.module_pass(opt_level=0, name="UpdateInPlace")
    def update(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        return _Update(module, optimizer).run()

    return update


class _Update:
    def __init__(self, module: tvm.IRModule, optimizer: OptimizerSpec) -> None:
        self._module = module
        self._optimizer = optimizer
        self._steps, _ = steps_of(module, "train_step")
        self._old = module["train_step"]
        self._layers = [int(layer) for layer in self._old.attrs["gradients"]]
        self._builder = relax.BlockBuilder(module)
        # Of each layer the steps that make its gradient: one for every use.
        self._gradients: dict[int | None, list[int]] = {}
        for index, step in enumerate(self._steps):
            if step.kernel.has("d"):
                self._gradients.setdefault(layer_of(step), []).append(index)
        if optimizer.fused and optimizer.at_run_time and any(len(uses) > 1 for uses in self._gradients.values()):
            raise ValueError("expected an optimiser that keeps gradients, received one that is part of their kernels")

    def run(self) -> tvm.IRModule:
        sizes = {layer_of(s): s.kernel.param("d").elements for s in self._steps if s.kernel.has("d")}
        train = self._train_step(sizes)
        names = {"train_step": train}
        if self._optimizer.accumulates:
            self._apply_update(sizes)
            names["apply_update"] = "apply_update_new"
        module = self._builder.get()
        functions = {gv.name_hint: f for gv, f in module.functions.items() if not gv.name_hint.endswith("_new")}
        for name in names:
            functions[name] = module[f"{name}_new"].with_attr("gradients", self._layers)
        return rebuild(module, functions)

    def _state(self, sizes: Mapping[int, int], names: tuple[str, ...]) -> dict[tuple[str, int], relax.Var]:
        return {(n, layer): relax.Var(f"{n}_{layer}", flat(sizes[layer])) for layer in self._layers for n in names}

    def _train_step(self, sizes: Mapping[int, int]) -> relax.Var:
        optimizer, builder = self._optimizer, self._builder
        own = ("gradient",) if optimizer.accumulates else ("pool", *optimizer.state)
        state = self._state(sizes, own)
        hyper = [] if optimizer.fused or optimizer.accumulates else [_hyper(optimizer)]
        params = {p: relax.Var(str(p.name), p.ty) for p in self._old.params}
        values: dict[relax.Var, relax.Expr] = dict(params)
        results: dict[int | None, relax.Var] = {}
        with builder.function(
            "train_step_new", [*params.values(), *hyper, *state.values()], attrs={"global_symbol": "train_step"}
        ):
            with builder.dataflow():
                for index, step in enumerate(self._steps):
                    args = [values.get(a, a) for a in step.args]
                    layer = layer_of(step)
                    if not step.kernel.has("d"):
                        values[step.var] = emit(builder, step.kernel, args)
                        continue
                    uses = self._gradients[layer]
                    fused = optimizer.fused and len(uses) == 1
                    if (fused or optimizer.accumulates) and index == uses[0]:
                        target = state["pool" if fused else "gradient", layer]
                        values[step.var] = emit(builder, _accumulating(step.kernel), [*args, target])
                    else:
                        values[step.var] = emit(builder, step.kernel, args)
                    if index == uses[-1]:
                        results[layer] = values[step.var]
                        if optimizer.fused and not fused:
                            results[layer] = self._add_to_pool(values[step.var], state["pool", layer])
                        elif not optimizer.fused and not optimizer.accumulates:
                            results[layer] = self._optimise(values[step.var], args[2], hyper[0], state, layer)
                outputs = [builder.emit_output(results[layer]) for layer in self._layers]
            builder.emit_func_output(relax.Tuple(outputs))
        return params

    def _apply_update(self, sizes: Mapping[int, int]) -> None:
        builder, hyper = self._builder, _hyper(self._optimizer)
        state = self._state(sizes, ("pool", *self._optimizer.state))
        tables = {p: relax.Var(str(p.name), p.ty) for p in self._old.params}
        rows = {layer: v for layer in self._layers for v in tables.values() if str(v.name) == f"rows_{layer}"}
        params = [hyper, *rows.values(), *state.values()]
        with builder.function("apply_update_new", params, attrs={"global_symbol": "apply_update"}):
            with builder.dataflow():
                results = [
                    self._optimise(state["gradient", layer], rows[layer], hyper, state, layer) for layer in self._layers
                ]
                outputs = [builder.emit_output(var) for var in results]
            builder.emit_func_output(relax.Tuple(outputs))

    def _add_to_pool(self, change: relax.Var, pool: relax.Var) -> relax.Var:
        n = int(change.ty.shape[0])
        return emit(self._builder, Kernel("accumulate", (Param("g", n), Param("acc", n, INOUT))), [change, pool])

    def _optimise(
        self,
        gradient: relax.Var,
        rows: relax.Var,
        hyper: relax.Var,
        state: Mapping[tuple[str, int], relax.Var],
        layer: int,
    ) -> relax.Var:
        """Emit the optimiser's step for one layer."""
        optimizer, n = self._optimizer, int(gradient.ty.shape[0])
        params = (
            Param("g", n),
            Param("rows", int(rows.ty.shape[0]), ROWS),
            Param("hyper", optimizer.hyper_elements),
            *(Param(name, n, INOUT) for name in optimizer.moments),
            Param("pool", n, INOUT),
        )
        args = [gradient, rows, hyper, *(state[name, layer] for name in optimizer.moments), state["pool", layer]]
        kernel = Kernel(UPDATE, params, {"kind": optimizer.kind, "function": f"tt_{optimizer.kind}_update"})
        return emit(self._builder, kernel, args)


def _hyper(optimizer: OptimizerSpec) -> relax.Var:
    return relax.Var("hyper", flat(optimizer.hyper_elements))


def _accumulating(kernel: Kernel) -> Kernel:
    params = tuple(Param(p.name, p.elements, INOUT if p.role == OUT else p.role, p.dtype) for p in kernel.params)
    return Kernel(kernel.op, params, kernel.attrs, kernel.overlay)
