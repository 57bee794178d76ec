# SPDX-License-Identifier: Apache-2.0
"""Rewrite a canonical module so that its forward pass is integer arithmetic.

Before::

    def predict(x, rows_0, rows_1):
        v = R.call_tir(cls.conv2d, (x, rows_0), ...)               # float32, clips at 0 and 6
        w = R.call_tir(cls.conv2d_1, (v, rows_1), ...)
        return w

After::

    def predict(x, int8_rows_0, int8_rows_1):
        q = R.call_tir(cls.quantize, (x,), ...)                    # int8, as everything up to w
        v = R.call_tir(cls.conv2d, (q, int8_rows_0), ...)          # saturates at the codes of 0 and 6
        w = R.call_tir(cls.conv2d_1, (v, int8_rows_1), ...)
        y = R.call_tir(cls.dequantize, (w,), ...)
        return y

An int8 tensor stands for the real numbers scale * (code - zero). Kernels keep their operation and get the attributes
``x_scale``, ``x_zero``, ``y_scale``, ``y_zero`` and the codes ``low`` and ``high`` at which they saturate. A softmax
that ends the network stays float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .imported_graph import UnsupportedGraphError
from .kernel import OUT, ROWS, Kernel, Param, Step, emit, flat, row_length, steps_of
from .kernels.geometry import int8_row_stride
from .kernels.int8 import fixed_point
from .ops import QUANTIZERS, WEIGHTED
from .sparse_gradient import layer_of, uses_of

LOWEST, HIGHEST = -128, 127
_BOUNDS = ("low", "high")


@dataclass(frozen=True)
class Grid:
    """The real numbers that int8 codes stand for: ``scale`` (of float32) times (code - ``zero``)."""

    scale: float
    zero: int

    def code(self, value: float) -> int:
        """The code nearest to a number, not saturated; halves go away from zero, as in TensorFlow Lite."""
        quotient = float(np.float32(value) / np.float32(self.scale))
        return self.zero + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))


def Quantize(grids: Mapping[str, Grid]) -> tvm.transform.Pass:
    """The pass.

    Args:
        grids: of the parameter ``x`` and of every variable of ``predict``, by name; a softmax at the end needs none.

    Raises:
        UnsupportedGraphError: there is an operation, or a use of one, that has no int8 kernel.
    """

    @tvm.transform.module_pass(opt_level=0, name="Quantize")
    def quantize(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        return _Quantizer(module, grids).run()

    return quantize


def quantized_steps(module: tvm.IRModule) -> list[Step]:
    """The calls of a canonical ``predict`` that become integer: all but a softmax at the end.

    Raises:
        UnsupportedGraphError: one of them has no int8 kernel, or a layer is used in several places, where it would want
            codes of several scales.
    """
    steps, (output,) = steps_of(module, "predict")
    steps = [s for s in steps if not (s.kernel.op == "softmax" and s.var.same_as(output))]
    layer = None
    for shared, count in uses_of(steps).items():
        if count > 1:
            raise UnsupportedGraphError(f"expected a layer that is used in one place, received {count} uses", shared)
    for step in steps:
        layer = layer_of(step) if step.kernel.op in WEIGHTED else layer
        if step.kernel.op not in QUANTIZERS:
            known = f"{', '.join(QUANTIZERS)}, a softmax at the end"
            raise UnsupportedGraphError(f"expected operations of int8 ({known}), received {step.kernel.op}", layer)
        if not all(isinstance(argument, relax.Var) for argument in step.args):
            raise UnsupportedGraphError(f"expected activations, received a constant operand of {step.kernel.op}", layer)
    return steps


class _Quantizer:
    """Implements ``ops.Integers``."""

    def __init__(self, module: tvm.IRModule, grids: Mapping[str, Grid]) -> None:
        self._module = module
        self._grids = grids
        self._builder = relax.BlockBuilder()
        self._values: dict[relax.Var, relax.Expr] = {}

    def run(self) -> tvm.IRModule:
        """The module with ``predict`` over int8 tensors."""
        steps, _ = steps_of(self._module, "predict")
        x, *rows = self._module["predict"].params
        lengths = {layer_of(s): (s.kernel["O"], row_length(s.kernel)) for s in steps if s.kernel.op in WEIGHTED}
        image = relax.Var("x", x.ty)
        for layer, var in enumerate(rows):
            channels, length = lengths[layer]
            self._values[var] = relax.Var(f"int8_rows_{layer}", flat(channels * int8_row_stride(length), "int8"))
        integer = quantized_steps(self._module)
        builder = self._builder
        params = [image, *(self._values[var] for var in rows)]
        with builder.function("predict", params, attrs={"global_symbol": "predict"}):
            with builder.dataflow():
                n = int(x.ty.shape[0])
                kernel = Kernel("quantize", (Param("x", n), Param("y", n, OUT, "int8")), self.saturating(None, x))
                self._values[x] = emit(builder, kernel, [image])
                for step in integer:
                    self._values[step.var] = QUANTIZERS[step.kernel.op](self, step)
                result = self._dequantized(integer[-1].var if integer else x)
                for step in steps[len(integer) :]:
                    result = emit(builder, step.kernel, [result])
                result = builder.emit_output(result)
            builder.emit_func_output(result)
        return builder.get()

    # -------------------------------------------------------------- Integers

    def value(self, var: relax.Expr) -> relax.Expr:
        return self._values[var]

    def grid(self, var: relax.Expr) -> Grid:
        return self._grids[str(var.name)]

    def saturating(
        self, source: relax.Expr | None, target: relax.Expr, bounds: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        y = self.grid(target)
        attrs: dict[str, Any] = {"y_scale": y.scale, "y_zero": y.zero, "low": LOWEST, "high": HIGHEST}
        if source is not None:
            attrs |= {"x_scale": self.grid(source).scale, "x_zero": self.grid(source).zero}
        bounds = bounds or {}
        if bounds.get("low") is not None:
            attrs["low"] = max(LOWEST, y.code(float(bounds["low"])))
        if bounds.get("high") is not None:
            attrs["high"] = min(HIGHEST, y.code(float(bounds["high"])))
        return attrs

    def factor(self, source: relax.Expr, target: relax.Expr) -> dict[str, int]:
        multiplier, shift = fixed_point(self.grid(source).scale / self.grid(target).scale)
        return {"multiplier": multiplier, "shift": shift}

    def requantized(self, source: relax.Expr, target: relax.Expr) -> relax.Expr:
        if self.grid(source) == self.grid(target):
            return self._values[source]
        n = int(source.ty.shape[0])
        attrs = self.saturating(source, target) | self.factor(source, target)
        params = (Param("x", n, dtype="int8"), Param("y", n, OUT, "int8"))
        return emit(self._builder, Kernel("requantize", params, attrs, ("x",)), [self._values[source]])

    def emit(self, step: Step, attrs: Mapping[str, Any], args: list[relax.Expr] | None = None) -> relax.Var:
        kernel = step.kernel
        params = []
        for param, argument in zip(kernel.params, [*step.args, step.var], strict=True):
            elements = int(self._values[argument].ty.shape[0]) if param.role == ROWS else param.elements
            params.append(Param(param.name, elements, param.role, "int8"))
        kept = {k: v for k, v in kernel.attrs.items() if k not in _BOUNDS}
        args = [self._values[a] for a in step.args] if args is None else args
        return emit(self._builder, Kernel(kernel.op, tuple(params), {**kept, **attrs}, kernel.overlay), args)

    # -------------------------------------------------------------- ends

    def _dequantized(self, var: relax.Var) -> relax.Var:
        n, grid = int(var.ty.shape[0]), self.grid(var)
        params = (Param("x", n, dtype="int8"), Param("y", n, OUT))
        kernel = Kernel("dequantize", params, {"x_scale": grid.scale, "x_zero": grid.zero})
        return emit(self._builder, kernel, [self._values[var]])
