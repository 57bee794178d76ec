# SPDX-License-Identifier: Apache-2.0
"""Forward kernels as operators of TFLite, or as custom ops where a window or a bound is one that TFLite lacks.

A *plain* graph holds nothing but TFLite's own operators, for any runtime: there, padding and bounds that TFLite's
convolution lacks become operators of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tflite
from tvm import relax

from tt_tflm.errors import UnsupportedLayerError
from tt_tflm.tflite.expression import as_operators, program
from tt_tflm.tflite.graph import TfliteGraph, Value
from tt_tflm.tflite.op_params import FROZEN, Flag, Op, pack
from tvm_passes.kernel import ROWS, Kernel, Step, row_length
from tvm_passes.kernels.geometry import Window
from tvm_passes.ops import OPS
from tvm_passes.sparse_gradient import layer_of

_NONE = tflite.ActivationFunctionType.NONE
_FUSED = {
    (None, None): _NONE,
    (0.0, None): tflite.ActivationFunctionType.RELU,
    (0.0, 6.0): tflite.ActivationFunctionType.RELU6,
    (-1.0, 1.0): tflite.ActivationFunctionType.RELU_N1_TO_1,
}
_CLIPS = {(0.0, None): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}
_POOLS = {"avg_pool": "AVERAGE_POOL_2D", "max_pool": "MAX_POOL_2D"}

Bounds = tuple[float | None, float | None]
NewValue = Callable[[Sequence[int]], Value]


def bounds_of(kernel: Kernel) -> Bounds:
    """The clip that ends a kernel; None for a bound that is not there."""
    low, high = (None if kernel.attrs.get(name) is None else float(kernel[name]) for name in ("low", "high"))
    return low, high


def has_fused_bounds(kernel: Kernel) -> bool:
    """Whether the clip that ends a kernel, if any, is an activation of TFLite's."""
    return bounds_of(kernel) in _FUSED


def lacks_operator(kernel: Kernel) -> str | None:
    """What is expected and what received where a convolution is one that TFLite has no operator for, else None."""
    w = Window.of(kernel.attrs)
    if kernel.op != "conv2d_transpose" or ((w.dh, w.dw) == (1, 1) and _padding(w.transposed()) is not None):
        return None
    return (
        "expected a transposed convolution with padding same or valid and without dilation, received one that cuts off "
        f"{w.pt} rows and {w.pl} columns, dilation {(w.dh, w.dw)}"
    )


def bound_fields(kernel: Kernel) -> tuple[Flag, dict[str, float]]:
    """The same as flags and fields of a custom op."""
    low, high = bounds_of(kernel)
    flags = (Flag.NONE if low is None else Flag.LOW) | (Flag.NONE if high is None else Flag.HIGH)
    return flags, {"low": low or 0.0, "high": high or 0.0}


def is_vector(kernel: Kernel) -> bool:
    """Whether a kernel with weights is a matrix times one vector."""
    w = Window.of(kernel.attrs)
    return kernel.op.startswith("conv2d") and w.pointwise() and w.groups == w.pixels == 1


def filter_of(kernel: Kernel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (channels, stride) as TFLite's filter and bias."""
    w, length = Window.of(kernel.attrs), row_length(kernel)
    weights, bias = rows[:, :length], np.ascontiguousarray(rows[:, length])
    if kernel.op.startswith("depthwise"):
        return np.ascontiguousarray(weights.T).reshape(1, w.kh, w.kw, w.O), bias
    if is_vector(kernel):
        return np.ascontiguousarray(weights), bias
    return np.ascontiguousarray(weights).reshape(w.O, w.kh, w.kw, w.depth), bias


def forward_pass(
    graph: TfliteGraph,
    image: relax.Var,
    steps: Sequence[Step],
    rows: Sequence[np.ndarray],
    shape: tuple[int, ...],
    *,
    fully_connected: bool = True,
) -> dict[relax.Expr, Value]:
    """Add a forward pass to a graph, the tensor of each variable under its name.

    Args:
        graph: to add to.
        image: the input variable.
        steps: of a canonical ``predict``, from the first on.
        rows: base rows of every layer, float32 (channels, stride).
        shape: of the input, without the batch.
        fully_connected: see ``ForwardEmitter``.

    Returns:
        The tensor of the input and of what each step defines.
    """
    forward = ForwardEmitter(graph, rows, plain=True, fully_connected=fully_connected)
    values = {image: graph.tensor("x", (1, 1, *shape) if len(shape) == 2 else (1, *shape))}

    def operands(step: Step) -> list[Value]:
        read = [a for a, p in zip(step.args, step.kernel.params, strict=False) if p.role != ROWS]
        return [values[a] if a in values else graph.constant("constant", a.value.numpy()) for a in read]

    for step in steps:
        inputs, layer = operands(step), layer_of(step)

        def new(shape: Sequence[int], name: str = str(step.var.name)) -> Value:
            return graph.tensor(name, shape)

        if layer is None:
            values[step.var] = forward.emit(step.kernel, inputs, new)
        else:
            values[step.var] = forward.weighted(step.kernel, layer, inputs[0], new)
    return values


class ForwardEmitter:
    """Adds forward kernels to a graph.

    Args:
        graph: to add to.
        rows: base rows of every layer, float32 (channels, stride).
        plain: whether custom ops are left out.
        fully_connected: whether a matrix times one vector is an operator of its own; else it is a convolution.
    """

    def __init__(
        self, graph: TfliteGraph, rows: Sequence[np.ndarray], *, plain: bool, fully_connected: bool = True
    ) -> None:
        self._graph = graph
        self._rows = rows
        self._plain = plain
        self._fully_connected = fully_connected
        self._handlers: Mapping[str, Callable[[Kernel, list[Value], NewValue], Value]] = {
            "clip": self._clip,
            "leaky_relu": self._leaky_relu,
            "softmax": self._softmax,
            "add": self._pairwise,
            "multiply": self._pairwise,
            "multiply_channel": self._multiply_channel,
            "affine": self._affine,
            "concat": self._concat,
            "pad2d": self._pad2d,
            **dict.fromkeys(_POOLS, self._pool),
        }

    def emit(self, kernel: Kernel, operands: Sequence[Value], new: NewValue) -> Value:
        """Add a kernel without weights.

        Args:
            kernel: what.
            operands: its inputs, in order.
            new: makes the output, of a given shape.

        Raises:
            UnsupportedLayerError: there is neither an operator of TFLite nor an expression of it.
        """
        handler = self._handlers.get(kernel.op)
        if handler is not None:
            return handler(kernel, list(operands), new)
        builtin = OPS[kernel.op].tflite
        if builtin is not None:
            return self._graph.builtin(builtin, operands, new(operands[0].shape))
        if self._plain:
            return as_operators(self._graph, kernel, operands, new)
        y, params = new(operands[0].shape), pack(Op.EXPRESSION, expression=program(kernel))
        self._graph.custom(Op.EXPRESSION.tflite_name, operands, [y], params)
        return y

    def filter(self, layer: int, kernel: Kernel) -> Value:
        """The filter of a frozen layer."""
        kind = "depthwise_filter" if kernel.op.startswith("depthwise") else "filter"
        weights, _ = filter_of(kernel, self._rows[layer])
        if weights.ndim == 2 and not self._fully_connected:
            weights = weights[:, None, None]
        return self._graph.constant(f"layer_{layer}/{kind}", weights)

    def weighted(self, kernel: Kernel, layer: int, x: Value, new: NewValue) -> Value:
        """Add a convolution of a frozen layer.

        Raises:
            UnsupportedLayerError: TFLite has no operator of its geometry.
        """
        w = Window.of(kernel.attrs)
        _, bias = filter_of(kernel, self._rows[layer])
        inputs = [x, self.filter(layer, kernel), self._graph.constant(f"layer_{layer}/bias", bias)]
        if kernel.op == "conv2d_transpose":
            return self._transposed(kernel, inputs, new)
        if is_vector(kernel) and self._fully_connected:
            return self._dense(kernel, inputs, new)
        padding, fused = _padding(w), _FUSED.get(bounds_of(kernel))
        if self._plain and padding == tflite.Padding.SAME and (w.sh > w.kh or w.sw > w.kw):
            # XNNPACK, which TFLite runs by default, puts a window that steps over inputs elsewhere.
            padding = None
        special = padding is None or fused is None
        # The custom op has one filter per input channel, and neither dilation nor groups.
        if special and not self._plain and w.compact() and (kernel.op == "conv2d" or w.O == w.C):
            return self._custom(kernel, inputs, new((1, w.OH, w.OW, w.O)))
        inputs[0] = self._graph.shaped(x, (1, w.H, w.W, w.C))
        if padding is None:
            inputs[0], padding = self._padded(inputs[0], w), tflite.Padding.VALID
        op, options = "CONV_2D", "Conv2DOptions"
        fields = {"Padding": padding, "StrideH": w.sh, "StrideW": w.sw, "FusedActivationFunction": fused or _NONE}
        if (w.dh, w.dw) != (1, 1):
            fields |= {"DilationHFactor": w.dh, "DilationWFactor": w.dw}
        if kernel.op == "depthwise_conv2d":
            op, options, fields["DepthMultiplier"] = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", w.O // w.C
        y = self._graph.builtin(op, inputs, new((1, w.OH, w.OW, w.O)), options, **fields)
        return y if fused is not None else self._bounded(kernel, y)

    # -------------------------------------------------------------- weights

    def _dense(self, kernel: Kernel, inputs: list[Value], new: NewValue) -> Value:
        w, fused = Window.of(kernel.attrs), _FUSED.get(bounds_of(kernel))
        if not self._plain and fused is None:
            return self._custom(kernel, inputs, new((1, w.O)))
        inputs[0] = self._graph.shaped(inputs[0], (1, w.C))
        y = self._graph.builtin(
            "FULLY_CONNECTED", inputs, new((1, w.O)), "FullyConnectedOptions", FusedActivationFunction=fused or _NONE
        )
        return y if fused is not None else self._bounded(kernel, y)

    def _transposed(self, kernel: Kernel, inputs: list[Value], new: NewValue) -> Value:
        w = Window.of(kernel.attrs)
        lacking = lacks_operator(kernel)
        if lacking is not None:
            raise UnsupportedLayerError(f"operation '{kernel.op}': {lacking}")
        x, weights, bias = inputs
        shape, fused = (1, w.OH, w.OW, w.O), _FUSED.get(bounds_of(kernel))
        inputs = [
            self._graph.constant("output_shape", np.int32(shape)),
            weights,
            self._graph.shaped(x, (1, w.H, w.W, w.C)),
            bias,
        ]
        fields = {"Padding": _padding(w.transposed()), "StrideH": w.sh, "StrideW": w.sw}
        fields["FusedActivationFunction"] = fused or _NONE
        version = 4 if fused else 3  # with an activation, with a bias
        y = self._graph.builtin("TRANSPOSE_CONV", inputs, new(shape), "TransposeConvOptions", version=version, **fields)
        return y if fused is not None else self._bounded(kernel, y)

    def _custom(self, kernel: Kernel, inputs: list[Value], y: Value) -> Value:
        flags, bounds = bound_fields(kernel)
        op = Op[kernel.op.upper()]
        params = pack(
            op, flags, window=Window.of(kernel.attrs).attrs(), stride=row_length(kernel), candidate=FROZEN, copies=0,
            **bounds,
        )  # fmt: skip
        self._graph.custom(op.tflite_name, inputs, [y], params)
        return y

    def _padded(self, x: Value, w: Window) -> Value:
        bottom = (w.OH - 1) * w.sh + w.reach[0] - w.H - w.pt
        right = (w.OW - 1) * w.sw + w.reach[1] - w.W - w.pl
        # A window need not reach the last row and column.
        widths = np.int32([[0, 0], [w.pt, max(bottom, 0)], [w.pl, max(right, 0)], [0, 0]])
        return self._pad(x, widths, None)

    def _pad(self, x: Value, widths: np.ndarray, new: NewValue | None) -> Value:
        shape = tuple(np.array(x.shape) + widths.sum(1))
        y = self._graph.tensor("padded", shape) if new is None else new(shape)
        return self._graph.builtin("PAD", [x, self._graph.constant("widths", widths)], y, "PadOptions")

    # -------------------------------------------------------------- elementwise

    def _bounded(self, kernel: Kernel, y: Value) -> Value:
        """TFLite's own operators for bounds that none of its activations has."""
        for op, bound in zip(("MAXIMUM", "MINIMUM"), bounds_of(kernel), strict=True):
            if bound is not None:
                limit = self._graph.constant("bound", np.full((1,), bound, np.float32))
                y = self._graph.builtin(op, [y, limit], self._graph.tensor("clipped", y.shape), "MaximumMinimumOptions")
        return y

    def _clip(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        (x,) = operands
        builtin = _CLIPS.get(bounds_of(kernel))
        if builtin is not None:
            return self._graph.builtin(builtin, [x], new(x.shape))
        if self._plain:
            return self._bounded(kernel, x)
        flags, bounds = bound_fields(kernel)
        y = new(x.shape)
        self._graph.custom(Op.CLIP.tflite_name, [x], [y], pack(Op.CLIP, flags, **bounds))
        return y

    def _leaky_relu(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        y = new(operands[0].shape)
        return self._graph.builtin("LEAKY_RELU", operands, y, "LeakyReluOptions", Alpha=float(kernel["alpha"]))

    def _softmax(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        classes = int(kernel["classes"])
        x = self._graph.shaped(operands[0], (operands[0].elements // classes, classes))
        return self._graph.builtin("SOFTMAX", [x], new(x.shape), "SoftmaxOptions", Beta=1.0)

    def _pairwise(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        a, b = operands
        op, options = {"add": ("ADD", "AddOptions"), "multiply": ("MUL", "MulOptions")}[kernel.op]
        return self._graph.builtin(op, [a, self._graph.shaped(b, a.shape)], new(a.shape), options)

    def _multiply_channel(self, _kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        x, gate = operands
        x = self._graph.shaped(x, (1, 1, x.elements // gate.elements, gate.elements))
        gate = self._graph.shaped(gate, (1, 1, 1, gate.elements))
        return self._graph.builtin("MUL", [x, gate], new(x.shape), "MulOptions")

    def _affine(self, _kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        x, scale, shift = operands
        if not self._plain:
            y = new(x.shape)
            self._graph.custom(Op.AFFINE.tflite_name, operands, [y], pack(Op.AFFINE))
            return y
        x = self._graph.shaped(x, (x.elements // scale.elements, scale.elements))
        product = self._graph.builtin("MUL", [x, scale], self._graph.tensor("scaled", x.shape), "MulOptions")
        return self._graph.builtin("ADD", [product, shift], new(x.shape), "AddOptions")

    # -------------------------------------------------------------- shape

    def _pool(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        w = Window.of(kernel.attrs)
        x = self._graph.shaped(operands[0], (1, w.H, w.W, w.C))
        padding = _padding(w)
        if padding is None:
            raise ValueError(f"expected pooling with padding of SAME or VALID, received {w}")
        fields = {"Padding": padding, "StrideH": w.sh, "StrideW": w.sw, "FilterHeight": w.kh, "FilterWidth": w.kw}
        return self._graph.builtin(_POOLS[kernel.op], [x], new((1, w.OH, w.OW, w.C)), "Pool2DOptions", **fields)

    def _concat(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        outer = int(kernel["outer"])
        parts = [self._graph.shaped(v, (outer, v.elements // outer)) for v in operands]
        y = new((outer, sum(part.shape[1] for part in parts)))
        return self._graph.builtin("CONCATENATION", parts, y, "ConcatenationOptions", Axis=1)

    def _pad2d(self, kernel: Kernel, operands: list[Value], new: NewValue) -> Value:
        w = Window.of(kernel.attrs)
        x = self._graph.shaped(operands[0], (1, w.H, w.W, w.C))
        widths = np.int32([[0, 0], [w.pt, w.OH - w.H - w.pt], [w.pl, w.OW - w.W - w.pl], [0, 0]])
        return self._pad(x, widths, new)


def _padding(w: Window) -> int | None:
    """The padding of TFLite that the window has, None if it has neither."""
    rows = _paddings(w.H, w.OH, w.reach[0], w.sh, w.pt)
    both = rows & _paddings(w.W, w.OW, w.reach[1], w.sw, w.pl)
    # Where both fit, the one that says what is read.
    return max(both, default=None)


def _paddings(size: int, out: int, taps: int, stride: int, before: int) -> set[int]:
    found = set()
    if out == -(-size // stride) and before == max((out - 1) * stride + taps - size, 0) // 2:
        found.add(tflite.Padding.SAME)
    if size >= taps and out == (size - taps) // stride + 1 and before == 0:
        found.add(tflite.Padding.VALID)
    return found
