# SPDX-License-Identifier: Apache-2.0
"""Kernels on int8 tensors: forward to the bit against arithmetic on whole numbers as TensorFlow Lite defines it,
gradients against TensorFlow on the real numbers behind the codes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tvm_passes.kernel import INOUT, OUT, ROWS, Kernel, Param
from tvm_passes.kernels.geometry import Window, int8_row_stride, row_stride
from tvm_passes.kernels.int8 import ADD_SHIFT, fixed_point
from tvm_passes.ops import INT8_KERNELS

from ..compiled import Guarded, Rows
from ..trials import Draw, Trial, check_op, check_trial, normal, rng_of, some_channels
from ..windows import (
    avg_pool,
    conv2d,
    conv2d_transpose,
    depthwise_conv2d,
    draw_window,
    image,
    max_pool,
    output_gradient,
)
from . import test_conv2d, test_conv2d_transpose, test_depthwise

EXAMPLES = 6
FACTORS = (0.7, 0.013, 3e-4, 1.0, 5.3, 1e-12)


def requantized(value: int, multiplier: int, shift: int) -> int:
    """gemmlowp's definition: a doubling high product rounded to the nearest, then a division rounded away from zero."""
    value = max(-(2**31), min(2**31 - 1, value << max(shift, 0)))
    product = value * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    divisor = 2 ** max(-shift, 0)
    return (abs(high) + divisor // 2) // divisor * (1 if high >= 0 else -1)


def saturated(values: list[int], kernel: dict[str, int]) -> np.ndarray:
    return np.clip(np.array(values) + kernel["y_zero"], kernel["low"], kernel["high"]).astype(np.int8)


def codes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


def bounds(draw: Draw) -> dict[str, int]:
    return dict(zip(("low", "high"), draw(st.sampled_from(((-128, 127), (-128, 30), (-7, 127), (5, 6)))), strict=True))


def real(x: np.ndarray, attrs: dict[str, float]) -> np.ndarray:
    return attrs["x_scale"] * (x.astype(np.float64) - attrs["x_zero"])


class Int8RowsStruct(ctypes.Structure):
    """``tt_int8_rows_t``."""

    _fields_ = [
        ("base", ctypes.c_void_p),
        ("channels", ctypes.c_void_p),
        ("shadow", ctypes.c_void_p),
        ("slot", ctypes.c_void_p),
        ("stride", ctypes.c_uint32),
        ("weights", ctypes.c_uint32),
    ]


@dataclass
class Int8Rows:
    """The int8 rows of a layer, the channels of ``trained`` in a shadow; the base holds noise in their place."""

    weights: np.ndarray
    biases: np.ndarray
    factors: np.ndarray
    scales: np.ndarray
    trained: tuple[int, ...]

    @property
    def stride(self) -> int:
        return int8_row_stride(self.weights.shape[1])

    def struct(self, keep: list[object]) -> Int8RowsStruct:
        count, length = self.weights.shape
        rows = np.zeros((count, self.stride), np.int8)
        rows[:, :length] = self.weights
        rows[:, -4:] = self.biases.astype("<i4").view(np.int8).reshape(count, 4)
        channels = np.zeros(count, [("weight", "<f4"), ("bias", "<f4"), ("multiplier", "<i4"), ("shift", "<i4")])
        channels["weight"] = self.scales
        channels["multiplier"], channels["shift"] = np.array([fixed_point(f) for f in self.factors]).T
        slot = np.full(count, 0xFFFF, np.uint16)
        slot[list(self.trained)] = np.arange(len(self.trained))
        shadow, base = Guarded(rows[list(self.trained)]), Guarded(rows)
        base.array.reshape(rows.shape)[list(self.trained)] = 77
        keep += [base, channels, shadow, slot]
        pointers = (base.address, channels.ctypes.data, shadow.address, slot.ctypes.data if self.trained else None)
        return Int8RowsStruct(*pointers, self.stride, length)


@dataclass(frozen=True)
class Weighted:
    """Trials of the three kernels of a weighted operation."""

    op: str
    convolution: Callable[[tf.Tensor, tf.Tensor, Window], tf.Tensor]
    draw_window: Callable[[Draw], Window]
    row_length: Callable[[Window], int]

    def _rows(self, draw: Draw, rng: np.random.Generator, w: Window) -> Int8Rows:
        weights = rng.integers(-127, 128, (w.O, self.row_length(w))).astype(np.int8)
        biases = rng.integers(-3000, 3000, w.O)
        factors = np.array([draw(st.sampled_from(FACTORS)) for _ in range(w.O)])
        scales = rng.uniform(0.001, 0.1, w.O).astype(np.float32)
        return Int8Rows(weights, biases, factors, scales, some_channels(draw, w.O))

    def _attrs(self, draw: Draw, rng: np.random.Generator, w: Window) -> dict[str, float]:
        length = self.row_length(w)
        grid = {"x_scale": 0.03, "x_zero": int(rng.integers(-128, 128)), "y_zero": int(rng.integers(-128, 128))}
        strides = {"stride": row_stride(length), "int8_stride": int8_row_stride(length)}
        return {**w.attrs(), **strides, **grid, **bounds(draw)}

    def forward(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        attrs, rows, x = self._attrs(draw, rng, w), self._rows(draw, rng, w), codes(rng, w.H * w.W * w.C)
        used = np.concatenate([rows.weights, rows.biases[:, None]], 1).astype(np.float64)
        sums = self.convolution(image(x.astype(np.float64) - attrs["x_zero"], w), used, w).numpy().reshape(-1, w.O)
        factors = [fixed_point(factor) for factor in rows.factors]
        y = [requantized(int(total), *factors[o]) for position in sums for o, total in enumerate(position)]
        params = (
            Param("x", x.size, dtype="int8"),
            Param("rows", w.O * rows.stride, ROWS, "int8"),
            Param("y", w.pixels * w.O, OUT, "int8"),
        )
        return Trial(Kernel(self.op, params, attrs), {"x": x, "rows": rows}, {"y": saturated(y, attrs)})

    def grad_input(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        attrs, rows, g = self._attrs(draw, rng, w), self._rows(draw, rng, w), normal(rng, w.pixels * w.O)
        so_far = normal(rng, w.H * w.W * w.C) if draw(st.booleans()) else None
        used = tf.constant(np.pad(rows.scales[:, None].astype(np.float64) * rows.weights, ((0, 0), (0, 1))))
        x = image(np.zeros(w.H * w.W * w.C), w)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = self.convolution(x, used, w)
        dx = tape.gradient(y, x, output_gradient(g, w)).numpy().ravel()
        params = (
            Param("g", g.size),
            Param("rows", w.O * rows.stride, ROWS, "int8"),
            Param("dx", dx.size, OUT if so_far is None else INOUT),
        )
        more = {} if so_far is None else {"dx": so_far}
        expected = dx if so_far is None else dx + so_far
        return Trial(Kernel(f"{self.op}_grad_input", params, attrs), {"g": g, "rows": rows, **more}, {"dx": expected})

    def grad_weights(self, draw: Draw) -> Trial:
        w, rng = self.draw_window(draw), rng_of(draw)
        attrs, g, x = self._attrs(draw, rng, w), normal(rng, w.pixels * w.O), codes(rng, w.H * w.W * w.C)
        length = self.row_length(w)
        trained = some_channels(draw, w.O, least=1)
        weights = tf.zeros((w.O, length + 1), tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            y = self.convolution(image(real(x, attrs), w), weights, w)
        gradient = -0.25 * tape.gradient(y, weights, output_gradient(g, w)).numpy()
        d = np.zeros((len(trained), attrs["stride"]))
        d[:, : length + 1] = gradient[list(trained)]
        params = (
            Param("x", x.size, dtype="int8"),
            Param("g", g.size),
            Param("rows", w.O * attrs["stride"], ROWS),
            Param("scale", 1),
            Param("d", d.size, OUT),
        )
        attrs |= {"trained": len(trained), "bias": 1, "weights": 1}
        rows = Rows(np.zeros((w.O, attrs["stride"]), np.float32), length, trained)
        arguments = {"x": x, "g": g, "rows": rows, "scale": np.float32([-0.25])}
        return Trial(Kernel(f"{self.op}_grad_weights", params, attrs), arguments, {"d": d})

    def cases(self) -> dict[str, st.SearchStrategy[Trial]]:
        return {
            self.op: st.composite(self.forward)(),
            f"{self.op}_grad_input": st.composite(self.grad_input)(),
            f"{self.op}_grad_weights": st.composite(self.grad_weights)(),
        }


def elementwise(op: str, attrs: dict[str, float], dtypes: tuple[str, ...], **arrays: np.ndarray) -> Kernel:
    """A kernel over those arrays, the last one written."""
    *inputs, (out, size) = ((name, array.size) for name, array in arrays.items())
    params = [Param(name, count, dtype=dtype) for (name, count), dtype in zip(inputs, dtypes, strict=False)]
    return Kernel(op, (*params, Param(out, size, OUT, dtypes[-1])), attrs)


@st.composite
def quantize_trials(draw: Draw) -> Trial:
    rng = rng_of(draw)
    scale, zero = float(np.float32(draw(st.sampled_from((0.05, 1.0, 3e-5))))), draw(st.integers(-128, 127))
    # Halves of a step among them, and numbers far beyond the range.
    x = (scale * rng.integers(-600, 600, 50) / 2).astype(np.float32)
    x[:2] = 3e38, -3e38
    with np.errstate(over="ignore"):
        quotient = x / np.float32(scale)
    y = np.clip(np.trunc(quotient + np.copysign(np.float32(0.5), quotient)) + zero, -128, 127).astype(np.int8)
    attrs = {"y_scale": scale, "y_zero": zero}
    return Trial(elementwise("quantize", attrs, ("float32", "int8"), x=x, y=y), {"x": x}, {"y": y})


@st.composite
def dequantize_trials(draw: Draw) -> Trial:
    x = codes(rng_of(draw), 33)
    attrs = {"x_scale": 0.05, "x_zero": draw(st.integers(-128, 127))}
    y = real(x, attrs).astype(np.float32)
    return Trial(elementwise("dequantize", attrs, ("int8", "float32"), x=x, y=y), {"x": x}, {"y": y})


def requantize_trials(op: str) -> st.SearchStrategy[Trial]:
    @st.composite
    def trials(draw: Draw) -> Trial:
        x, zeros = codes(rng_of(draw), 40), {name: draw(st.integers(-128, 127)) for name in ("x_zero", "y_zero")}
        multiplier, shift = fixed_point(draw(st.sampled_from(FACTORS)))
        attrs = {**zeros, "multiplier": multiplier, "shift": shift, **bounds(draw)}
        y = saturated([requantized(int(v) - zeros["x_zero"], multiplier, shift) for v in x], attrs)
        return Trial(elementwise(op, attrs, ("int8", "int8"), x=x, y=y), {"x": x}, {"y": y})

    return trials()


@st.composite
def add_trials(draw: Draw) -> Trial:
    rng, zero = rng_of(draw), st.integers(-128, 127)
    a, b = codes(rng, 40), codes(rng, 40)
    attrs = {"a_zero": draw(zero), "b_zero": draw(zero), "y_zero": draw(zero), **bounds(draw)}
    for side, factor in (("a_", 0.5), ("b_", 0.5 * draw(st.sampled_from((1.0, 0.3, 0.001)))), ("", 1.7 / 2**ADD_SHIFT)):
        attrs[f"{side}multiplier"], attrs[f"{side}shift"] = fixed_point(factor)
    sums = []
    for values in zip(a, b, strict=True):
        parts = [
            requantized((int(v) - attrs[f"{s}_zero"]) << ADD_SHIFT, attrs[f"{s}_multiplier"], attrs[f"{s}_shift"])
            for s, v in zip("ab", values, strict=True)
        ]
        sums.append(requantized(sum(parts), attrs["multiplier"], attrs["shift"]))
    y = saturated(sums, attrs)
    return Trial(elementwise("add", attrs, ("int8", "int8", "int8"), a=a, b=b, y=y), {"a": a, "b": b}, {"y": y})


def pool_trials(op: str) -> st.SearchStrategy[Trial]:
    @st.composite
    def trials(draw: Draw) -> Trial:
        channels = draw(st.integers(1, 5))
        w = draw_window(draw, channels, channels, pooling=True)
        x = codes(rng_of(draw), w.H * w.W * w.C)
        pool = {"avg_pool": avg_pool, "max_pool": max_pool}[op]
        y = pool(image(x.astype(np.float64), w), w).numpy()
        # Sums of a few codes are exact in float64, so that a half is a half.
        y = np.trunc(y + np.copysign(0.5 + 1e-9, y)).astype(np.int8)
        kernel = elementwise(op, w.attrs() | {"y_zero": 0}, ("int8", "int8"), x=x, y=y)
        return Trial(kernel, {"x": x}, {"y": y})

    return trials()


@st.composite
def pad_trials(draw: Draw) -> Trial:
    rng, zero = rng_of(draw), draw(st.integers(-128, 127))
    x = codes(rng, 3, 4, 2)
    y = np.pad(x, ((1, 2), (0, 3), (0, 0)), constant_values=zero)
    attrs = {**Window(3, 4, 2, 6, 7, 2, 1, 1, 1, 1, 1, 0).attrs(), "y_zero": zero}
    return Trial(elementwise("pad2d", attrs, ("int8", "int8"), x=x, y=y), {"x": x.ravel()}, {"y": y})


@st.composite
def concat_trials(draw: Draw) -> Trial:
    rng = rng_of(draw)
    x0, x1 = codes(rng, 3, 4), codes(rng, 3, 2)
    y = np.concatenate([x0, x1], 1)
    kernel = elementwise("concat", {"outer": 3}, ("int8",) * 3, x0=x0, x1=x1, y=y)
    return Trial(kernel, {"x0": x0.ravel(), "x1": x1.ravel()}, {"y": y})


CASES = {
    **Weighted("conv2d", conv2d, test_conv2d._draw_window, lambda w: w.taps * w.C).cases(),
    **Weighted("depthwise_conv2d", depthwise_conv2d, test_depthwise._draw_window, lambda w: w.taps).cases(),
    **Weighted("conv2d_transpose", conv2d_transpose, test_conv2d_transpose.draw_window, lambda w: w.taps * w.C).cases(),
    "quantize": quantize_trials(),
    "dequantize": dequantize_trials(),
    "requantize": requantize_trials("requantize"),
    "clip": requantize_trials("clip"),
    "add": add_trials(),
    "avg_pool": pool_trials("avg_pool"),
    "max_pool": pool_trials("max_pool"),
    "pad2d": pad_trials(),
    "concat": concat_trials(),
}


SPREAD = {
    **Weighted("conv2d", conv2d, test_conv2d.draw_spread, lambda w: w.taps * w.depth).cases(),
    **Weighted("depthwise_conv2d", depthwise_conv2d, test_depthwise.draw_dilated, lambda w: w.taps).cases(),
}


@pytest.mark.parametrize("op", SPREAD)
def test_dilation_and_groups(op: str) -> None:
    check_op(SPREAD[op], EXAMPLES // 2)


@pytest.mark.parametrize("op", CASES)
def test_int8(op: str) -> None:
    check_op(CASES[op], EXAMPLES)


def test_no_int8_kernel_is_left_out() -> None:
    assert set(INT8_KERNELS) <= set(CASES)


def test_a_gradient_passes_strictly_between_the_bounds() -> None:
    y, g = np.int8([-128, -127, 0, 99, 100, 127]), np.arange(1, 7, dtype=np.float32)
    expected = np.float32([0, 2, 3, 4, 0, 0])
    attrs = {"low": -128, "high": 100}
    kernel = elementwise("clip_grad", attrs, ("float32", "int8", "float32"), g=g, y=y, dx=g)
    check_trial(Trial(kernel, {"g": g, "y": y}, {"dx": expected}))
    mask = np.uint32([0b001110])
    check_trial(Trial(elementwise("clip_mask", attrs, ("int8", "uint32"), y=y, mask=mask), {"y": y}, {"mask": mask}))


def test_the_largest_of_equal_codes_that_comes_first_takes_the_gradient() -> None:
    w = Window(1, 4, 1, 1, 2, 1, 1, 2, 1, 2, 0, 0)
    x, g = np.int8([5, 5, -3, 7]), np.float32([2, 3])
    kernel = elementwise("max_pool_grad", w.attrs(), ("float32", "int8", "float32"), g=g, x=x, dx=np.zeros(4))
    check_trial(Trial(kernel, {"g": g, "x": x}, {"dx": np.float32([2, 0, 0, 3])}))


def test_the_potential_of_codes() -> None:
    rng = np.random.default_rng(0)
    a, g, before = codes(rng, 7, 3), normal(rng, 7, 3), np.float32([0, 1, 2])
    sums = (0.05 * (a.astype(np.float64) - 9) * g).sum(0)
    params = (Param("a", 21, dtype="int8"), Param("g", 21), Param("potential", 3, INOUT))
    kernel = Kernel("fisher_potential", params, {"y_scale": 0.05, "y_zero": 9})
    arguments = {"a": a.ravel(), "g": g.ravel(), "potential": before}
    check_trial(Trial(kernel, arguments, {"potential": before + sums**2}))
