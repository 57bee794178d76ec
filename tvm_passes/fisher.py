# SPDX-License-Identifier: Apache-2.0
"""Add the function ``fisher``: the Fisher potential of every channel of the inspected layers, from one sample.

Before: ``train_step`` as ``attach_loss`` leaves it (forward pass and loss).

After (``train_step`` stays)::

    def fisher(x, rows_0, label, loss, potential_0):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)
        g = ...                                                    # of the loss with respect to v
        _ = R.call_tir_inplace(cls.fisher_potential, (v, g, potential_0), inplace_indices=[2], ...)

``potential[o] += (sum over positions of v * g)^2``, v being the output of the layer after its activation (Kwon et al.,
2024). No weight gradient is computed and no weight is changed. Divided by twice the number of samples, the sum over
the support set is the potential.

The positions of a layer that is used in several places are those of all its uses, whose sums come together before they
are squared::

        s = R.call_tir(cls.channel_dot, (v, g), ...)               # of the last use
        t = R.call_tir(cls.channel_dot, (w, h), ...)               # of another
        u = R.call_tir_inplace(cls.accumulate, (t, s), ...)
        q = R.call_tir(cls.multiply, (u, u), ...)
        _ = R.call_tir_inplace(cls.accumulate, (q, potential_0), ...)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm
from tvm import relax

from .choice import Trained
from .kernel import INOUT, OUT, Kernel, Param, Step, flat
from .ops import ACTIVATIONS
from .sparse_gradient import ReverseWalk, layer_of, replace_function, uses_of


def Fisher(layers: Sequence[int]) -> tvm.transform.Pass:
    """The pass, for those layers (numbers of their parameters ``rows_<number>``)."""

    @tvm.transform.module_pass(opt_level=0, name="Fisher")
    def inspect(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        walk = _FisherWalk(module, {layer: Trained(1) for layer in layers})
        function = walk.run("fisher")
        return replace_function(walk.module, "fisher", function)

    return inspect


class _FisherWalk(ReverseWalk):
    def __init__(self, module: tvm.IRModule, trained: Mapping[int, Trained]) -> None:
        super().__init__(module, trained)
        self._inspected = self._find_inspected()
        self._saved |= set(self._inspected)
        self._uses = uses_of(self._steps)
        self._sums: dict[int, relax.Var] = {}
        self._potentials = {
            layer: relax.Var(f"potential_{layer}", flat(step.kernel["O"]))
            for step in self._steps
            if (layer := layer_of(step)) in trained
        }

    def trained(self, _step: Step) -> Trained | None:
        return None

    def _extra_params(self) -> list[relax.Var]:
        return list(self._potentials.values())

    def _find_inspected(self) -> dict[relax.Var, Step]:
        """The output of each inspected layer: that of the activation right after it, where nothing reads between."""
        readers: dict[relax.Expr, list[Step]] = {}
        for step in self._steps:
            for argument in step.args:
                readers.setdefault(argument, []).append(step)
        inspected = {}
        for step in self._steps:
            if layer_of(step) not in self._trained:
                continue
            after = readers.get(step.var, [])
            alone = len(after) == 1 and after[0].kernel.op in ACTIVATIONS
            inspected[after[0].var if alone else step.var] = step
        return inspected

    def _visit(self, step: Step, gradient: relax.Var) -> None:
        layer_step = self._inspected.get(step.var)
        if layer_step is not None:
            layer, channels = layer_of(layer_step), layer_step.kernel["O"]
            if self._uses[layer] > 1:
                self._add_sums(layer, channels, step.var, gradient)
            else:
                self._add_potential(layer, channels, step, gradient)
        if any(self.active(a) for a in step.args):
            super()._visit(step, gradient)

    def _add_potential(self, layer: int, channels: int, step: Step, gradient: relax.Var) -> None:
        n = int(gradient.ty.shape[0])
        a = Param("a", n, dtype=step.kernel.params[-1].dtype)
        attrs = {key: step.kernel[key] for key in ("y_scale", "y_zero") if a.dtype == "int8"}
        kernel = Kernel("fisher_potential", (a, Param("g", n), Param("potential", channels, INOUT)), attrs)
        self._gradients[layer] = self.emit(kernel, [step.var, gradient, self._potentials[layer]])

    def _add_sums(self, layer: int, channels: int, activation: relax.Var, gradient: relax.Var) -> None:
        n = int(gradient.ty.shape[0])
        kernel = Kernel("channel_dot", (Param("a", n), Param("b", n), Param("y", channels, OUT)))
        sums = self.emit(kernel, [activation, gradient])
        so_far = self._sums.get(layer)
        self._sums[layer] = sums if so_far is None else self._accumulated(sums, so_far)

    def _finish(self) -> None:
        for layer, sums in self._sums.items():
            n = int(sums.ty.shape[0])
            kernel = Kernel("multiply", (Param("a", n), Param("b", n), Param("y", n, OUT)))
            squares = self.emit(kernel, [sums, sums])
            self._gradients[layer] = self._accumulated(squares, self._potentials[layer])

    def _accumulated(self, value: relax.Var, target: relax.Var) -> relax.Var:
        n = int(value.ty.shape[0])
        return self.emit(Kernel("accumulate", (Param("g", n), Param("acc", n, INOUT))), [value, target])
