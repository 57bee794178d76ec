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
weighted operator: ``params`` (its rows, flat), ``strides`` (floats of a row) and ``kinds`` (conv2d, depthwise, dense).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .imported_graph import (
    ImportedGraph,
    UnsupportedGraphError,
    Value,
    clip_bounds,
    conv_rows,
    core_shape,
    per_channel,
    shape_of,
)
from .kernel import IN, OUT, ROWS, Kernel, Param, emit, flat
from .kernels.geometry import Window, row_stride


@tvm.transform.module_pass(opt_level=0, name="Canonicalize")
class Canonicalize:
    """The pass: ``main`` of the imported module becomes ``predict``.

    Raises:
        UnsupportedGraphError: see there.
    """

    def transform_module(self, module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        return _Rewriter(module["main"]).run()


class _Rewriter:
    def __init__(self, function: relax.Function) -> None:
        self._function = function
        self._graph = ImportedGraph(function)
        self._builder = relax.BlockBuilder()
        self._values: dict[relax.Var, Value] = {}
        self._done: set[relax.Var] = set()
        self._rows: list[np.ndarray] = []
        self._row_vars: list[relax.Var] = []
        self._kinds: list[str] = []
        self._handlers: dict[str, Callable[[Any], None]] = {
            "relax.nn.conv2d": self._conv2d,
            "relax.matmul": self._matmul,
            "relax.nn.pad": self._pad,
            "relax.nn.relu": lambda b: self._clip(b, 0.0, None),
            "relax.clip": lambda b: self._clip(b, *clip_bounds(b.value)),
            "relax.nn.leakyrelu": lambda b: self._unary(b, "leaky_relu", alpha=float(b.value.attrs.alpha)),
            "relax.sigmoid": lambda b: self._unary(b, "sigmoid"),
            "relax.tanh": lambda b: self._unary(b, "tanh"),
            "relax.nn.softmax": self._softmax,
            "relax.add": self._add,
            "relax.subtract": self._subtract,
            "relax.multiply": self._multiply,
            "relax.divide": self._divide,
            "relax.concat": self._concat,
            "relax.nn.max_pool2d": lambda b: self._pool(b, "max_pool"),
            "relax.nn.avg_pool2d": lambda b: self._pool(b, "avg_pool"),
            "relax.mean": lambda b: self._reduce(b, "avg_pool"),
            "relax.max": lambda b: self._reduce(b, "max_pool"),
            "relax.reshape": self._reshape,
            "relax.expand_dims": self._reshape,
            "relax.squeeze": self._reshape,
            "relax.permute_dims": self._permute,
        }

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
                for binding in self._graph.bindings:
                    if binding.var in self._done:
                        continue
                    if isinstance(binding.value, relax.Var):
                        self._values[binding.var] = self._values[binding.value]
                    elif isinstance(binding.value, relax.Call):
                        self._operator(binding)
                    elif not isinstance(binding.value, relax.Tuple):
                        raise UnsupportedGraphError(f"expected an operator, received {binding.value}")
                result = self._plain(self._values[self._graph.result])
                output = builder.emit_output(result.var)
            builder.emit_func_output(output)
        module = builder.get()
        params = [tvm.runtime.tensor(rows.ravel()) for rows in weights]
        function = module["predict"].with_attr("params", params)
        module["predict"] = function.with_attr("strides", [r.shape[1] for r in weights]).with_attr("kinds", self._kinds)
        return module

    def _operator(self, binding: Any) -> None:
        name = str(binding.value.op.name)
        handler = self._handlers.get(name)
        if handler is None:
            raise UnsupportedGraphError(f"expected an operator that has a kernel, received {name}")
        handler(binding)

    # -------------------------------------------------------------- values

    def _value(self, argument: relax.Expr) -> Value:
        if isinstance(argument, relax.Var):
            return self._values[argument]
        array = argument.value.numpy()
        return Value(None, tuple(array.shape), array)

    def _plain(self, value: Value) -> Value:
        """``value`` with its padding applied."""
        if not any(value.padding):
            return value
        top, left, bottom, right = value.padding
        height, width, channels = value.shape[1:]
        out = (1, height + top + bottom, width + left + right, channels)
        window = Window(height, width, channels, out[1], out[2], channels, 1, 1, 1, 1, top, left)
        elements = int(np.prod(out))
        kernel = Kernel("pad2d", (Param("x", value.elements), Param("y", elements, OUT)), window.attrs())
        return Value(emit(self._builder, kernel, [value.var]), out)

    def _define(self, binding: Any, kernel: Kernel, args: list[relax.Expr], result: relax.Var | None = None) -> None:
        var = emit(self._builder, kernel, args)
        result = binding.var if result is None else result
        self._values[result] = Value(var, shape_of(result))

    # -------------------------------------------------------------- weights

    def _collect_rows(self) -> list[np.ndarray]:
        """The rows of every weighted operator, in order (the function's parameters must be known before its body)."""
        rows: list[np.ndarray] = []
        for binding in self._graph.bindings:
            if not isinstance(binding.value, relax.Call):
                continue
            name = str(binding.value.op.name)
            if name == "relax.permute_dims" and not isinstance(binding.value.args[0], relax.Var):
                self._permute(binding)
            elif name == "relax.nn.conv2d":
                rows.append(self._with_bias(binding, conv_rows(binding.value)))
            elif name == "relax.matmul":
                operand = binding.value.args[1]
                weights = (
                    None
                    if isinstance(operand, relax.Var) and operand not in self._values
                    else self._value(operand).array
                )
                if weights is None:
                    raise UnsupportedGraphError("expected a matmul with constant weights, received two activations")
                rows.append(self._with_bias(binding, np.ascontiguousarray(weights.reshape(weights.shape[-2:]).T)))
        self._rows = list(rows)
        return rows

    def _with_bias(self, binding: Any, weights: np.ndarray) -> np.ndarray:
        channels, length = weights.shape
        rows = np.zeros((channels, row_stride(length)), np.float32)
        rows[:, :length] = weights
        bias = self._graph.bias(binding, channels)
        if bias is not None:
            rows[:, length] = bias[1]
        return rows

    def _weighted(self, binding: Any, kind: str, window: Window, source: Value) -> None:
        """Emit a convolution with the bias and the clip that follow it."""
        op = "depthwise_conv2d" if kind == "depthwise" else "conv2d"
        self._kinds.append(kind)
        index = len(self._row_vars) - len(self._rows)
        rows = self._rows.pop(0)
        attrs: dict[str, Any] = {**window.attrs(), "stride": rows.shape[1]}
        result = binding.var
        bias = self._graph.bias(binding, window.O)
        if bias is not None:
            result = bias[0].var
            self._done.add(result)
        for name in ("clip", "nn.relu"):
            activation = self._graph.only_consumer(result, name)
            if activation is not None:
                bounds = (0.0, None) if name == "nn.relu" else clip_bounds(activation.value)
                attrs.update({k: v for k, v in zip(("low", "high"), bounds, strict=True) if v is not None})
                result = activation.var
                self._done.add(result)
                break
        params = (
            Param("x", source.elements),
            Param("rows", rows.size, ROWS),
            Param("y", window.pixels * window.O, OUT),
        )
        self._define(binding, Kernel(op, params, attrs), [source.var, self._row_vars[index]], result)

    def _conv2d(self, binding: Any) -> None:
        call = binding.value
        source = self._value(call.args[0])
        kh, kw = (int(v) for v in list(call.args[1].ty.shape)[:2])
        height, width, channels = source.shape[1:]
        out_height, out_width, out_channels = shape_of(binding.var)[1:]
        top, left = (int(v) for v in list(call.attrs.padding)[:2])
        sh, sw = (int(v) for v in call.attrs.strides)
        if any(int(d) != 1 for d in call.attrs.dilation):
            raise UnsupportedGraphError(f"expected dilation 1, received {list(call.attrs.dilation)}")
        window = Window(
            height, width, channels, out_height, out_width, out_channels, kh, kw, sh, sw,
            top + source.padding[0], left + source.padding[1],
        )  # fmt: skip
        self._weighted(binding, "conv2d" if int(call.attrs.groups) == 1 else "depthwise", window, source)

    def _matmul(self, binding: Any) -> None:
        source = self._plain(self._value(binding.value.args[0]))
        channels, out = source.shape[-1], shape_of(binding.var)[-1]
        positions = source.elements // channels
        window = Window(1, positions, channels, 1, positions, out, 1, 1, 1, 1, 0, 0)
        self._weighted(binding, "dense", window, source)

    # -------------------------------------------------------------- elementwise

    def _unary(self, binding: Any, op: str, **attrs: Any) -> None:
        source = self._plain(self._value(binding.value.args[0]))
        n = source.elements
        self._define(binding, Kernel(op, (Param("x", n), Param("y", n, OUT)), attrs, ("x",)), [source.var])

    def _clip(self, binding: Any, low: float | None, high: float | None) -> None:
        bounds = {k: v for k, v in (("low", low), ("high", high)) if v is not None}
        if not bounds:
            self._values[binding.var] = self._value(binding.value.args[0])
        else:
            self._unary(binding, "clip", **bounds)

    def _softmax(self, binding: Any) -> None:
        shape = shape_of(binding.var)
        if int(binding.value.attrs.axis) not in (-1, len(shape) - 1):
            raise UnsupportedGraphError(
                f"expected softmax over the last axis, received axis {binding.value.attrs.axis}"
            )
        source = self._plain(self._value(binding.value.args[0]))
        params = (Param("x", source.elements), Param("y", source.elements, OUT))
        self._define(binding, Kernel("softmax", params, {"classes": shape[-1]}, ("x",)), [source.var])

    def _operands(self, binding: Any) -> tuple[Value, Value]:
        a, b = (self._value(argument) for argument in binding.value.args[:2])
        return self._plain(a), self._plain(b)

    def _affine(self, binding: Any, source: Value, scale: np.ndarray, shift: np.ndarray) -> None:
        """y = x * scale + shift with constants of one value or one per channel."""
        for array in (scale, shift):
            if not per_channel(array, source.shape[-1]):
                raise UnsupportedGraphError(
                    f"expected one constant per channel ({source.shape[-1]}), received constants of shape {array.shape}"
                )
        scale, shift = (np.asarray(v, np.float32).ravel() for v in (scale, shift))
        channels = max(scale.size, shift.size)
        constants = [relax.const(np.ascontiguousarray(np.broadcast_to(v, (channels,)))) for v in (scale, shift)]
        n = source.elements
        params = (Param("x", n), Param("scale", channels), Param("shift", channels), Param("y", n, OUT))
        self._define(binding, Kernel("affine", params, {}, ("x",)), [source.var, *constants])

    def _pairwise(self, binding: Any, op: str, a: Value, b: Value) -> None:
        if core_shape(a.shape) != core_shape(b.shape):
            raise UnsupportedGraphError(f"expected operands of one shape for {op}, received {a.shape} and {b.shape}")
        n = a.elements
        kernel = Kernel(op, (Param("a", n), Param("b", n), Param("y", n, OUT)), {}, ("a", "b"))
        self._define(binding, kernel, [a.var, b.var])

    def _add(self, binding: Any) -> None:
        if self._hard_swish(binding):
            return
        a, b = self._operands(binding)
        if a.array is not None:
            a, b = b, a
        if b.array is not None:
            self._affine(binding, a, np.ones(1), b.array)
        else:
            self._pairwise(binding, "add", a, b)

    def _subtract(self, binding: Any) -> None:
        a, b = self._operands(binding)
        if b.array is not None:
            self._affine(binding, a, np.ones(1), -b.array)
        elif a.array is not None:
            self._affine(binding, b, -np.ones(1), a.array)
        else:
            raise UnsupportedGraphError("expected a subtraction of a constant, received two activations")

    def _multiply(self, binding: Any) -> None:
        a, b = self._operands(binding)
        if a.array is not None:
            a, b = b, a
        if b.array is not None:
            self._affine(binding, a, b.array, np.zeros(1))
            return
        if a.elements < b.elements:
            a, b = b, a
        if core_shape(a.shape) != core_shape(b.shape) and b.elements == b.shape[-1] == a.shape[-1]:
            n, channels = a.elements, b.elements
            params = (Param("x", n), Param("gate", channels), Param("y", n, OUT))
            self._define(binding, Kernel("multiply_channel", params, {}, ("x",)), [a.var, b.var])
        else:
            self._pairwise(binding, "multiply", a, b)

    def _divide(self, binding: Any) -> None:
        a, b = self._operands(binding)
        if b.array is None or a.array is not None:
            raise UnsupportedGraphError("expected a division by a constant, received one by an activation")
        self._affine(binding, a, 1.0 / b.array.astype(np.float64), np.zeros(1))

    def _hard_swish(self, binding: Any) -> bool:
        """x * (clip(x + 3, 0, 6) * 1/6), which the importer spells out, is one kernel with one gradient."""
        spelled = self._graph.hard_swish(binding)
        if not spelled:
            return False
        self._done.update(spelled)
        value = self._plain(self._value(binding.value.args[0]))
        n = value.elements
        kernel = Kernel("hard_swish", (Param("x", n), Param("y", n, OUT)), {}, ("x",))
        self._define(binding, kernel, [value.var], spelled[-1])
        return True

    # -------------------------------------------------------------- shape

    def _pad(self, binding: Any) -> None:
        source = self._value(binding.value.args[0])
        widths = [int(v) for v in binding.value.attrs.pad_width]
        value = float(binding.value.attrs.pad_value)
        if len(widths) != 8 or any(widths[:2] + widths[6:]) or value != 0.0:
            raise UnsupportedGraphError(f"expected zero padding of height and width, received {widths} with {value}")
        top, bottom, left, right = widths[2:6]
        old = source.padding
        padded = Value(source.var, source.shape, None, (old[0] + top, old[1] + left, old[2] + bottom, old[3] + right))
        into_windows = all(
            isinstance(c.value, relax.Call) and str(c.value.op.name) == "relax.nn.conv2d"
            for c in self._graph.consumers.get(binding.var, [])
        )
        self._values[binding.var] = padded if into_windows else self._plain(padded)

    def _pool(self, binding: Any, op: str) -> None:
        source = self._plain(self._value(binding.value.args[0]))
        attrs = binding.value.attrs
        if bool(attrs.count_include_pad):
            raise UnsupportedGraphError("expected pooling that leaves padding out, received count_include_pad")
        top, left = (int(v) for v in list(attrs.padding)[:2])
        kh, kw = (int(v) for v in attrs.pool_size)
        sh, sw = (int(v) for v in attrs.strides)
        height, width, channels = source.shape[1:]
        out_height, out_width = shape_of(binding.var)[1:3]
        window = Window(height, width, channels, out_height, out_width, channels, kh, kw, sh, sw, top, left)
        self._window(binding, op, window, source)

    def _reduce(self, binding: Any, op: str) -> None:
        source = self._plain(self._value(binding.value.args[0]))
        rank = len(source.shape)
        axes = sorted(int(a) % rank for a in binding.value.attrs.axis)
        if axes != list(range(1, rank - 1)):
            raise UnsupportedGraphError(f"expected a reduction over height and width, received axes {axes} of {rank}")
        channels = source.shape[-1]
        positions = source.elements // channels
        window = Window(1, positions, channels, 1, 1, channels, 1, positions, 1, 1, 0, 0)
        self._window(binding, op, window, source)

    def _window(self, binding: Any, op: str, window: Window, source: Value) -> None:
        params = (Param("x", source.elements), Param("y", window.pixels * window.C, OUT))
        self._define(binding, Kernel(op, params, window.attrs()), [source.var])

    def _concat(self, binding: Any) -> None:
        fields = binding.value.args[0]
        parts = [self._plain(self._value(a)) for a in (fields.fields if isinstance(fields, relax.Tuple) else [fields])]
        shape = shape_of(binding.var)
        axis = int(binding.value.attrs.axis) % len(shape)
        if any(part.var is None for part in parts):
            raise UnsupportedGraphError("expected a concatenation of activations, received a constant")
        params = tuple(Param(f"x{i}", part.elements, IN) for i, part in enumerate(parts))
        out = Param("y", int(np.prod(shape)), OUT)
        attrs = {"outer": int(np.prod(shape[:axis], dtype=np.int64))}
        self._define(binding, Kernel("concat", (*params, out), attrs), [part.var for part in parts])

    def _reshape(self, binding: Any) -> None:
        source = self._plain(self._value(binding.value.args[0]))
        shape = shape_of(binding.var)
        self._values[binding.var] = Value(
            source.var, shape, None if source.array is None else source.array.reshape(shape)
        )

    def _permute(self, binding: Any) -> None:
        source = self._value(binding.value.args[0])
        if source.array is None:
            raise UnsupportedGraphError("expected a transpose of constants only, received one of an activation")
        axes = [int(a) for a in binding.value.attrs.axes]
        self._values[binding.var] = Value(None, shape_of(binding.var), np.transpose(source.array, axes))
