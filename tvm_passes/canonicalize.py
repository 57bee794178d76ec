# SPDX-License-Identifier: Apache-2.0
"""Rewrite an imported float model into declared kernels over flat tensors.

Before (as imported from TFLite)::

    lv  = R.nn.pad(x, pad_width=[0, 0, 1, 1, 1, 1, 0, 0])
    lv1 = R.nn.conv2d(lv, kernel, strides=[2, 2], padding=[0, 0, 0, 0], data_layout="NHWC", kernel_layout="HWIO")
    lv2 = R.add(lv1, bias)
    lv3 = R.clip(lv2, 0, 6)
    lv4 = R.reshape(lv3, R.shape([1, 512]))

After::

    v = R.call_tir(cls.conv2d, (x, rows_0), out_ty=R.Tensor((512,), "float32"))

Padding moves into the window, bias and clip into the convolution, kernels and biases into rows (parameters
``rows_0``, ``rows_1``, ... of the function ``predict``), reshapes vanish. Attributes of ``predict``, one entry per
layer: ``params`` (its rows, flat), ``strides`` (floats of a row) and ``kinds`` (conv2d, depthwise, dense). Operators
that read one and the same constant are uses of one layer, numbered by the first of them (``shared_weights``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.dpl import wildcard

from .imported_graph import ImportedGraph, UnsupportedGraphError, Value, shape_of
from .kernel import OUT, Kernel, Param, emit, flat
from .kernels.geometry import Window
from .ops import OPS
from .shared_weights import LayerUses


@tvm.transform.module_pass(opt_level=0, name="Canonicalize")
class Canonicalize:
    """The pass: ``main`` of the imported module becomes ``predict``.

    Raises:
        UnsupportedGraphError: see there; a line for each operator that has no kernel, which begins with ``at NAME:``
            where the graph has a name for what it is part of.
    """

    def transform_module(self, module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        return _Rewriter(module["main"]).run()


class _Rewriter:
    """Asks the operations of the table which of them an imported operator is. Implements ``ops.Lowering``."""

    def __init__(self, function: relax.Function) -> None:
        self.graph = ImportedGraph(function)
        self._function = function
        self._builder = relax.BlockBuilder()
        self._values: dict[relax.Var, Value] = {}
        self._covered: set[relax.Var] = set()
        self._uses = LayerUses(self.graph)
        self._row_vars: list[relax.Var] = []
        self._lowered: relax.Var | None = None
        self._problems: list[str] = []
        self._fused = self._match_patterns()

    def run(self) -> tvm.IRModule:
        """The canonical module."""
        weights = self._collect_rows()
        (image,) = self._function.params[: int(self._function.attrs["num_input"])]
        shape = shape_of(image)
        x = relax.Var("x", flat(int(np.prod(shape))))
        self._row_vars = [relax.Var(f"rows_{i}", flat(rows.size)) for i, rows in enumerate(weights)]
        self._values[image] = Value(x, shape)
        builder = self._builder
        with builder.function("predict", [x, *self._row_vars], attrs={"global_symbol": "predict"}):
            with builder.dataflow():
                for binding in self.graph.bindings:
                    if binding.var in self._covered:
                        continue
                    self._try(binding)
                if self._problems:
                    raise UnsupportedGraphError("\n".join(self._problems))
                result = self.pad(self._values[self.graph.result])
                if result.var is None:
                    raise UnsupportedGraphError("expected an output that depends on the input, received a constant")
                output = builder.emit_output(result.var)
            builder.emit_func_output(output)
        module = builder.get()
        params = [tvm.runtime.tensor(rows.ravel()) for rows in weights]
        function = module["predict"].with_attr("params", params)
        kinds = [layer.kind for layer in self._uses.layers]
        module["predict"] = function.with_attr("strides", [r.shape[1] for r in weights]).with_attr("kinds", kinds)
        return module

    def _match_patterns(self) -> dict[relax.Var, tuple[str, relax.Var]]:
        """What several operators compute together: variable -> operation and operand."""
        fused: dict[relax.Var, tuple[str, relax.Var]] = {}
        for op in OPS.values():
            if op.pattern is None:
                continue
            operand = wildcard()
            for result, source, between in self.graph.matches(op.pattern(operand), operand):
                if not self._covered & {result, *between}:
                    fused[result] = op.name, source
                    self.cover(*between)
        return fused

    def _try(self, binding: Any) -> None:
        try:
            self._binding(binding)
        except UnsupportedGraphError as error:
            owner = self.graph.named_after(binding.var)
            self._problems.append(f"at {owner}: {error}" if owner else str(error))
            # Something of its shape in its place, so that whatever else is wrong is told too.
            (x, *_), n = self._values.values(), int(np.prod(shape_of(binding.var)))
            kernel = Kernel("unsupported", (Param("x", x.elements), Param("y", n, OUT)))
            self.define(binding, kernel, [x.var])

    def _binding(self, binding: Any) -> None:
        value = binding.value
        if isinstance(value, relax.TupleGetItem):
            tuple_value = self.graph.definition(value.tuple_value)
            if isinstance(tuple_value, relax.Call):
                # Of what gives several tensors only those that are read become kernels.
                self._operator(binding, str(tuple_value.op.name))
                return
            value = tuple_value.fields[value.index]
        if isinstance(value, relax.Call):
            if not isinstance(binding.var.ty, relax.TupleType):
                self._operator(binding, str(value.op.name))
        elif isinstance(value, relax.Var) or hasattr(value, "value"):
            self._values[binding.var] = self.operand(value)
        elif not isinstance(value, relax.Tuple):
            raise UnsupportedGraphError(f"expected an operator, received {value}")

    def _operator(self, binding: Any, name: str) -> None:
        if binding.var in self._fused:
            op, source = self._fused[binding.var]
            self._unary(binding, op, source, {})
            return
        self._lowered = binding.var
        if not any(lower.lower(self, binding) for lower in OPS.lowerings(name)):
            raise UnsupportedGraphError(f"expected an operator that has a kernel, received {name}")

    def _collect_rows(self) -> list[np.ndarray]:
        """The rows of every layer, in order (the function's parameters must be known before its body)."""
        for binding in self.graph.bindings:
            if not isinstance(binding.value, relax.Call):
                continue
            for lower in OPS.lowerings(str(binding.value.op.name)):
                if lower.early and self.constant(binding.value.args[0]) is not None:
                    lower.lower(self, binding)
                    break
                weights = None if lower.rows is None else lower.rows(self, binding)
                if weights is not None:
                    self._uses.add(binding, binding.value.args[lower.weights], weights)
        return [layer.rows for layer in self._uses.layers]

    # -------------------------------------------------------------- Lowering

    def operand(self, argument: relax.Expr) -> Value:
        if isinstance(argument, relax.Var):
            return self._values[argument]
        array = argument.value.numpy()
        return Value(None, tuple(array.shape), array)

    def constant(self, argument: relax.Expr) -> np.ndarray | None:
        known = not isinstance(argument, relax.Var) or argument in self._values
        return self.operand(argument).array if known else None

    def plain(self, argument: relax.Expr) -> Value:
        return self.pad(self.operand(argument))

    def pad(self, value: Value) -> Value:
        if not any(value.padding):
            return value
        top, left, bottom, right = value.padding
        height, width, channels = value.shape[1:]
        out = (1, height + top + bottom, width + left + right, channels)
        window = Window(height, width, channels, out[1], out[2], channels, 1, 1, 1, 1, top, left)
        elements = int(np.prod(out))
        kernel = Kernel("pad2d", (Param("x", value.elements), Param("y", elements, OUT)), window.attrs())
        return Value(emit(self._builder, kernel, [value.var]), out)

    def tensor(self, value: Value) -> relax.Expr:
        if value.array is None:
            return self.pad(value).var
        return relax.const(np.ascontiguousarray(value.array, np.float32).ravel())

    def emit(self, kernel: Kernel, args: list[relax.Expr]) -> relax.Var:
        return emit(self._builder, kernel, args)

    def next_rows(self, kind: str) -> tuple[relax.Var, np.ndarray]:
        number, layer = self._uses.use(self._lowered, kind)
        return self._row_vars[number], layer.rows

    def define(self, binding: Any, kernel: Kernel, args: list[relax.Expr], result: relax.Var | None = None) -> None:
        var = emit(self._builder, kernel, args)
        result = binding.var if result is None else result
        self._values[result] = Value(var, shape_of(result))

    def unary(self, binding: Any, op: str, **attrs: Any) -> None:
        self._unary(binding, op, binding.value.args[0], attrs)

    def _unary(self, binding: Any, op: str, operand: relax.Expr, attrs: dict[str, Any]) -> None:
        source = self.plain(operand)
        n = source.elements
        kernel = Kernel(op, (Param("x", n), Param("y", n, OUT)), attrs, ("x",))
        self.define(binding, kernel, [self.tensor(source)])

    def forward(self, binding: Any, value: Value) -> None:
        self._values[binding.var] = value

    def cover(self, *variables: relax.Var) -> None:
        self._covered.update(variables)
