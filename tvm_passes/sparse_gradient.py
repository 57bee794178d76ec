# SPDX-License-Identifier: Apache-2.0
"""The reverse walk, sparse in layers and channels.

Before::

    def train_step(x, rows_0, rows_1, label, loss):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)              # clips at 0 and 6
        w = R.call_tir(cls.conv2d_1, (v, rows_1), ...)
        g = ... loss (w, label, loss)
        return g

After, with 3 channels of layer 0 chosen and layer 1 frozen::

    def train_step(x, rows_0, rows_1, label, loss, scale):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)
        m = R.call_tir(cls.clip_mask, (v,), ...)                  # one bit per element instead of v
        w = R.call_tir(cls.conv2d_1, (v, rows_1), ...)
        g = ...
        dv = R.call_tir(cls.conv2d_grad_input, (g, rows_1), ...)
        dz = R.call_tir(cls.mask_grad, (dv, m), ...)
        d0 = R.call_tir(cls.conv2d_grad_weights, (x, dz, rows_0, scale), ...)   # 3 rows
        return d0

Only what lies between the loss and the earliest chosen layer is walked; a frozen layer on the way passes the gradient
on and gets no weight gradient. Forward kernels are left as they are, with their fused clips. A layer that is used in
several places gets one gradient: that of its last use, to which the kernels of the others add in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import tvm
from tvm import relax

from .choice import Trained
from .imported_graph import UnsupportedGraphError
from .kernel import INOUT, OUT, ROWS, Kernel, Param, Step, emit, flat, steps_of
from .ops import GRADIENTS, WEIGHTED, Gradient
from .ops.clip import clip_mask, clips


def SparseGradient(trained: Mapping[int, Trained]) -> tvm.transform.Pass:
    """The pass for that choice: number of the layer (of its parameter ``rows_<number>``) -> what is trained of it.

    The weight gradients are returned in the order in which the walk completes them; the attribute ``gradients`` of the
    function lists the layers they belong to.
    """

    @tvm.transform.module_pass(opt_level=0, name="SparseGradient")
    def differentiate(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        walk = ReverseWalk(module, dict(trained))
        function = walk.run("train_step").with_attr("gradients", walk.layers)
        return replace_function(walk.module, "train_step", function)

    return differentiate


def layer_of(step: Step) -> int | None:
    """The number of the layer whose rows a step reads, None for a step without weights."""
    for argument, param in zip(step.args, step.kernel.params, strict=False):
        if param.role == ROWS:
            return int(str(argument.name).rpartition("_")[2])
    return None


def uses_of(steps: Iterable[Step]) -> Counter[int]:
    """How many forward steps read the rows of each layer."""
    return Counter(layer for s in steps if s.kernel.op in WEIGHTED and (layer := layer_of(s)) is not None)


def _gradient_of(step: Step) -> Gradient:
    gradient = GRADIENTS.get(step.kernel.op)
    if gradient is None:
        raise UnsupportedGraphError(
            f"expected operations that pass a gradient ({', '.join(GRADIENTS)}) behind what is trained, received "
            f"{step.kernel.op}"
        )
    return gradient


def _passes_to(step: Step) -> list[relax.Expr]:
    """The operands that a step passes gradients to; of what has no gradient all, until somebody asks for it."""
    gradient = GRADIENTS.get(step.kernel.op)
    return [a for a in (step.args if gradient is None else gradient.passes_to(step)) if isinstance(a, relax.Var)]


def unreached_layers(module: tvm.IRModule) -> list[int]:
    """The layers of a canonical module that no gradient of its output reaches, as rounding or conditions lie on every
    way between."""
    steps, outputs = steps_of(module, "predict")
    reached = set(outputs)
    for step in reversed(steps):
        if step.var in reached:
            reached.update(_passes_to(step))
    uses = [(layer, step.var in reached) for step in steps if (layer := layer_of(step)) is not None]
    # Of several uses one is enough.
    met = {layer for layer, is_reached in uses if is_reached}
    return sorted({layer for layer, _ in uses} - met)


class ReverseWalk:
    """Rebuilds ``train_step`` with masks in the forward pass and the gradient after it. Implements ``ops.Tape``."""

    def __init__(self, module: tvm.IRModule, trained: Mapping[int, Trained]) -> None:
        self._trained = trained
        self._steps, _ = steps_of(module, "train_step")
        self._function = module["train_step"]
        self._params = {p: relax.Var(str(p.name), p.ty) for p in self._function.params}
        self._scale = relax.Var("scale", flat(1))
        self._builder = relax.BlockBuilder(module)
        self._values: dict[relax.Var, relax.Expr] = dict(self._params)
        self._masks: dict[relax.Var, relax.Var] = {}
        self._pending: dict[relax.Var, relax.Var] = {}
        self._gradients: dict[int, relax.Var] = {}
        self._in_use: relax.Var | None = None
        # The rows of an int8 layer are codes; where its trained rows lie, which are float32, is another parameter.
        self._float_rows = {
            layer: relax.Var(f"rows_{layer}", flat(step.kernel["O"] * step.kernel["stride"]))
            for step in self._steps
            if (layer := layer_of(step)) in trained and step.kernel.param("rows").dtype == "int8"
        }
        self._active = self._find_active()
        self._saved = {var for step in self._forward_active() for var in _gradient_of(step).saves(self, step)}

    def run(self, name: str) -> relax.Function:
        """The rebuilt function, to be called ``name``; its kernels are in ``module``."""
        *forward, loss = self._steps
        builder = self._builder
        params = [*self._params.values(), *self._extra_params()]
        with builder.function("rebuilt", params, attrs={"global_symbol": name}):
            with builder.dataflow():
                for step in forward:
                    self._replay(step)
                    if self._wants_mask(step):
                        self._masks[step.var] = emit(builder, clip_mask(step), [self._values[step.var]])
                gradient = self._replay(loss)
                self._pending[loss.args[0]] = gradient
                for step in reversed(forward):
                    if step.var in self._pending and step.var in self._active:
                        self._in_use = self._pending.pop(step.var)
                        self._visit(step, self._in_use)
                self._finish()
                self._check_reached()
                outputs = [builder.emit_output(var) for var in self._gradients.values()]
            builder.emit_func_output(relax.Tuple(outputs))
        return builder.get()["rebuilt"]

    @property
    def module(self) -> tvm.IRModule:
        """The module with the kernels that the walk has added."""
        return self._builder.get()

    @property
    def layers(self) -> list[int]:
        """The layers of the function's outputs."""
        return list(self._gradients)

    def _extra_params(self) -> list[relax.Var]:
        return [self._scale, *self._float_rows.values()]

    def _visit(self, step: Step, gradient: relax.Var) -> None:
        _gradient_of(step).rule(self, step, gradient)

    def _finish(self) -> None:
        """What follows the walk."""

    # -------------------------------------------------------------- what is needed

    def _find_active(self) -> set[relax.Var]:
        active: set[relax.Var] = set()
        for step in self._steps[:-1]:
            if layer_of(step) in self._trained or any(a in active for a in _passes_to(step)):
                active.add(step.var)
        return active

    def _check_reached(self) -> None:
        """A layer that lies behind rounding or conditions alone would be trained by nothing, in silence."""
        for layer in self._trained:
            if layer not in self.layers:
                raise UnsupportedGraphError(
                    f"expected a gradient for every trained layer, received none for layer {layer} (counted from 0): "
                    "rounding or conditions lie between it and the output; leave it frozen"
                )

    def _forward_active(self) -> list[Step]:
        return [step for step in self._steps[:-1] if step.var in self._active]

    def _wants_mask(self, step: Step) -> bool:
        return clips(step.kernel) and step.var in self._active and step.var not in self._saved

    def _replay(self, step: Step) -> relax.Var:
        self._values[step.var] = emit(self._builder, step.kernel, [self._values.get(a, a) for a in step.args])
        return self._values[step.var]

    # -------------------------------------------------------------- Tape

    def active(self, var: relax.Expr) -> bool:
        return var in self._active

    def emit(self, kernel: Kernel, args: list[relax.Expr]) -> relax.Var:
        return emit(self._builder, kernel, [self._values.get(a, a) for a in args])

    def add(self, var: relax.Expr, gradient: relax.Var) -> None:
        if not self.active(var):
            return
        so_far = self._pending.get(var)
        if so_far is None:
            self._pending[var] = gradient
            return
        n = int(gradient.ty.shape[0])
        if self._shared(so_far):
            kernel = Kernel("add", (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a", "b"))
            self._pending[var] = self.emit(kernel, [so_far, gradient])
        else:
            kernel = Kernel("accumulate", (Param("g", n), Param("acc", n, INOUT)))
            self._pending[var] = self.emit(kernel, [gradient, so_far])

    def add_into(self, var: relax.Expr, make: Callable[[relax.Var | None], relax.Var]) -> None:
        if not self.active(var):
            return
        so_far = self._pending.get(var)
        if so_far is not None and self._shared(so_far):
            n = int(so_far.ty.shape[0])
            so_far = self.emit(Kernel("copy", (Param("x", n), Param("y", n, OUT)), {}, ("x",)), [so_far])
        self._pending[var] = make(so_far)

    def _shared(self, gradient: relax.Var) -> bool:
        """Whether writing into ``gradient`` would spoil it for another reader: a sum hands one gradient to all its
        operands."""
        return gradient.same_as(self._in_use) or sum(other.same_as(gradient) for other in self._pending.values()) > 1

    def trained(self, step: Step) -> Trained | None:
        return self._trained.get(layer_of(step))

    def train(self, step: Step, gradient: relax.Var) -> None:
        layer = layer_of(step)
        choice = self._trained[layer]
        stride = step.kernel["stride"]
        positions = step.kernel.param("y").elements
        # The gradient of a bias reads no input: one that nobody else needs must not be kept for it.
        x, source = (step.args[0], step.kernel.param("x")) if choice.weights else (gradient, Param("x", positions))
        so_far = self._gradients.pop(layer, None)
        role, more = (OUT, []) if so_far is None else (INOUT, [so_far])
        params = (
            Param("x", source.elements, dtype=source.dtype),
            Param("g", positions),
            Param("rows", step.kernel["O"] * stride, ROWS),
            Param("scale", 1),
            Param("d", (choice.channels or step.kernel["O"]) * stride, role),
        )
        attrs = {k: v for k, v in step.kernel.attrs.items() if k not in ("low", "high")}
        attrs |= {"trained": choice.channels, "bias": int(choice.bias), "weights": int(choice.weights)}
        kernel = Kernel(f"{step.kernel.op}_grad_weights", params, attrs)
        rows = self._float_rows.get(layer, step.args[1])
        self._gradients[layer] = self.emit(kernel, [x, gradient, rows, self._scale, *more])

    def mask(self, var: relax.Var) -> relax.Var | None:
        return self._masks.get(var)


def replace_function(module: tvm.IRModule, name: str, function: relax.Function) -> tvm.IRModule:
    """``module`` with the Relax function ``name`` replaced or added, and scratch functions of builders dropped."""
    functions = {gv.name_hint: f for gv, f in module.functions.items() if gv.name_hint != "rebuilt"}
    return rebuild(module, functions | {name: function})


def rebuild(module: tvm.IRModule, functions: Mapping[str, tvm.ir.BaseFunc]) -> tvm.IRModule:
    """A module of those functions in which calls refer to the same global variables as in ``module``."""
    by_name = {gv.name_hint: gv for gv in module.functions}
    result = tvm.IRModule()
    for name, function in functions.items():
        result[by_name.get(name, name)] = function
    return result
