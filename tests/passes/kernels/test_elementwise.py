# SPDX-License-Identifier: Apache-2.0
"""Activations, sums, products and masks against tf.nn and tf.GradientTape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tvm_passes.kernel import INOUT, OUT, Kernel, Param
from tvm_passes.kernels.elementwise import MASK_BITS
from tvm_passes.ops import KERNELS

from ..trials import Draw, Trial, check_op, check_trial, normal, rng_of

EXAMPLES = 6
BOUNDS = ({"low": 0.0}, {"low": 0.0, "high": 6.0}, {"high": 1.0}, {"low": -1.0, "high": 1.5})
LENGTHS = st.one_of(st.integers(1, 8), st.integers(30, 100))
OVERLAID = {"add": ("a", "b"), "multiply": ("a", "b"), "clip_grad": ("g", "y")}


def clip_of(x: tf.Tensor, bounds: dict[str, float]) -> tf.Tensor:
    """TensorFlow's own activation where there is one, so that its gradient at the bounds counts."""
    if bounds == {"low": 0.0}:
        return tf.nn.relu(x)
    if bounds == {"low": 0.0, "high": 6.0}:
        return tf.nn.relu6(x)
    return tf.clip_by_value(x, bounds.get("low", x.dtype.min), bounds.get("high", x.dtype.max))


def tape_gradient(function: Callable[[tf.Tensor], tf.Tensor], x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """g times the derivative of ``function`` at ``x``, in float64."""
    source = tf.constant(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(source)
        result = function(source)
    return tape.gradient(result, source, tf.constant(g, tf.float64)).numpy()


def kernel_of(op: str, attrs: dict[str, object], **buffers: np.ndarray) -> Kernel:
    """A kernel of float32 buffers, the last of which is the output."""
    *inputs, out = buffers
    params = (*(Param(name, buffers[name].size) for name in inputs), Param(out, buffers[out].size, OUT))
    return Kernel(op, params, attrs, OVERLAID.get(op, tuple(inputs[:1])))


# op: function of (x, attrs), the attributes to draw from, what its gradient reads (the input or the output)
ACTIVATIONS = {
    "clip": (lambda x, a: clip_of(x, a), BOUNDS, "y"),
    "leaky_relu": (lambda x, a: tf.nn.leaky_relu(x, a["alpha"]), ({"alpha": 0.1}, {"alpha": 0.3}), "y"),
    "sigmoid": (lambda x, _: tf.nn.sigmoid(x), ({},), "y"),
    "tanh": (lambda x, _: tf.nn.tanh(x), ({},), "y"),
    "hard_swish": (lambda x, _: x * tf.nn.relu6(x + 3) / 6, ({},), "x"),
}


def activation_trials(op: str) -> st.SearchStrategy[Trial]:
    function, options, _ = ACTIVATIONS[op]

    @st.composite
    def trials(draw: Draw) -> Trial:
        attrs = dict(draw(st.sampled_from(options)))
        x = 4 * normal(rng_of(draw), draw(LENGTHS))
        y = function(tf.constant(x, tf.float64), attrs).numpy()
        return Trial(kernel_of(op, attrs, x=x, y=y), {"x": x}, {"y": y})

    return trials()


def activation_grad_trials(op: str) -> st.SearchStrategy[Trial]:
    function, options, reads = ACTIVATIONS[op]

    @st.composite
    def trials(draw: Draw) -> Trial:
        attrs, rng = dict(draw(st.sampled_from(options))), rng_of(draw)
        x = 4 * normal(rng, draw(LENGTHS))
        g = normal(rng, x.size)
        saved = x if reads == "x" else function(tf.constant(x), attrs).numpy()
        dx = tape_gradient(lambda v: function(v, attrs), x, g)
        kernel = kernel_of(f"{op}_grad", attrs, **{"g": g, reads: saved, "dx": dx})
        return Trial(kernel, {"g": g, reads: saved}, {"dx": dx})

    return trials()


@st.composite
def softmax_trials(draw: Draw) -> Trial:
    x, classes = _logits(draw)
    y = tf.nn.softmax(tf.constant(x, tf.float64)).numpy()
    return Trial(kernel_of("softmax", {"classes": classes}, x=x, y=y), {"x": x}, {"y": y})


@st.composite
def softmax_grad_trials(draw: Draw) -> Trial:
    x, classes = _logits(draw)
    g = normal(rng_of(draw), *x.shape)
    y = tf.nn.softmax(x).numpy()
    dx = tape_gradient(tf.nn.softmax, x, g)
    kernel = kernel_of("softmax_grad", {"classes": classes}, g=g, y=y, dx=dx)
    return Trial(kernel, {"g": g, "y": y}, {"dx": dx})


def _logits(draw: Draw) -> tuple[np.ndarray, int]:
    classes = draw(st.integers(1, 12))
    return 3 * normal(rng_of(draw), draw(st.integers(1, 4)), classes), classes


def pairwise_trials(op: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> st.SearchStrategy[Trial]:
    @st.composite
    def trials(draw: Draw) -> Trial:
        rng, n = rng_of(draw), draw(LENGTHS)
        a, b = normal(rng, n), normal(rng, n)
        return Trial(kernel_of(op, {}, a=a, b=b, y=a), {"a": a, "b": b}, {"y": function(a, b)})

    return trials()


@st.composite
def copy_trials(draw: Draw) -> Trial:
    x = normal(rng_of(draw), draw(LENGTHS))
    return Trial(kernel_of("copy", {}, x=x, y=x), {"x": x}, {"y": x})


@st.composite
def accumulate_trials(draw: Draw) -> Trial:
    rng, n = rng_of(draw), draw(LENGTHS)
    g, acc = normal(rng, n), normal(rng, n)
    kernel = Kernel("accumulate", (Param("g", n), Param("acc", n, INOUT)))
    return Trial(kernel, {"g": g, "acc": acc}, {"acc": acc + g})


def _positions_and_channels(draw: Draw) -> tuple[np.random.Generator, int, int]:
    return rng_of(draw), draw(st.integers(1, 30)), draw(st.integers(1, 9))


@st.composite
def affine_trials(draw: Draw) -> Trial:
    rng, positions, channels = _positions_and_channels(draw)
    x, scale, shift = normal(rng, positions, channels), normal(rng, channels), normal(rng, channels)
    kernel = kernel_of("affine", {}, x=x, scale=scale, shift=shift, y=x)
    return Trial(kernel, {"x": x, "scale": scale, "shift": shift}, {"y": x * scale + shift})


@st.composite
def multiply_channel_trials(draw: Draw) -> Trial:
    rng, positions, channels = _positions_and_channels(draw)
    x, gate = normal(rng, positions, channels), normal(rng, channels)
    kernel = kernel_of("multiply_channel", {}, x=x, gate=gate, y=x)
    return Trial(kernel, {"x": x, "gate": gate}, {"y": x * gate})


@st.composite
def channel_dot_trials(draw: Draw) -> Trial:
    rng, positions, channels = _positions_and_channels(draw)
    a, b, gate = normal(rng, positions, channels), normal(rng, positions, channels), np.ones(channels, np.float32)
    with tf.GradientTape() as tape:
        variable = tf.constant(gate)
        tape.watch(variable)
        y = tf.constant(b) * variable
    expected = tape.gradient(y, variable, tf.constant(a)).numpy()
    params = (Param("a", a.size), Param("b", b.size), Param("y", channels, OUT))
    return Trial(Kernel("channel_dot", params), {"a": a, "b": b}, {"y": expected})


def _bits(inside: np.ndarray) -> np.ndarray:
    """Booleans as words of 32 bits, the first the lowest."""
    padded = np.zeros(-(-inside.size // MASK_BITS) * MASK_BITS, np.uint8)
    padded[: inside.size] = inside
    return np.packbits(padded, bitorder="little").view(np.uint32)


def _mask_lengths(draw: Draw) -> int:
    return draw(st.one_of(st.sampled_from((1, 31, 32, 33, 64, 65)), st.integers(1, 200)))


@st.composite
def clip_mask_trials(draw: Draw) -> Trial:
    bounds = dict(draw(st.sampled_from(BOUNDS)))
    y = clip_of(tf.constant(4 * normal(rng_of(draw), _mask_lengths(draw))), bounds).numpy()
    mask = _bits((y > bounds.get("low", -np.inf)) & (y < bounds.get("high", np.inf)))
    kernel = Kernel("clip_mask", (Param("y", y.size), Param("mask", mask.size, OUT, "uint32")), bounds)
    return Trial(kernel, {"y": y}, {"mask": mask})


@st.composite
def mask_grad_trials(draw: Draw) -> Trial:
    rng = rng_of(draw)
    g = normal(rng, _mask_lengths(draw))
    inside = rng.integers(0, 2, g.size).astype(bool)
    mask = _bits(inside)
    params = (Param("g", g.size), Param("mask", mask.size, dtype="uint32"), Param("dx", g.size, OUT))
    return Trial(Kernel("mask_grad", params, {}, ("g",)), {"g": g, "mask": mask}, {"dx": np.where(inside, g, 0)})


CASES = {
    **{op: activation_trials(op) for op in ACTIVATIONS},
    **{f"{op}_grad": activation_grad_trials(op) for op in ACTIVATIONS},
    "softmax": softmax_trials(),
    "softmax_grad": softmax_grad_trials(),
    "add": pairwise_trials("add", np.add),
    "multiply": pairwise_trials("multiply", np.multiply),
    "copy": copy_trials(),
    "accumulate": accumulate_trials(),
    "affine": affine_trials(),
    "multiply_channel": multiply_channel_trials(),
    "channel_dot": channel_dot_trials(),
    "clip_mask": clip_mask_trials(),
    "mask_grad": mask_grad_trials(),
}


@pytest.mark.parametrize("op", CASES)
def test_elementwise(op: str) -> None:
    check_op(CASES[op], EXAMPLES)


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "softmax"])
def test_large_inputs_do_not_overflow(op: str) -> None:
    x = np.float32([-1e4, -100, -89, 0, 89, 100, 1e4, 3e38])
    attrs = {"classes": x.size} if op == "softmax" else {}
    y = getattr(tf.nn, op)(tf.constant(x, tf.float64)).numpy()
    check_trial(Trial(kernel_of(op, attrs, x=x, y=y), {"x": x}, {"y": y}))


def test_the_mask_tells_as_much_as_the_output() -> None:
    assert {"clip_mask", "mask_grad"} <= set(KERNELS)
    y = np.float32([0, 1e-30, 3, 5.9999995, 6])
    g = np.float32([1, 2, 3, 4, 5])
    expected = np.float32([0, 2, 3, 4, 0])
    bounds = {"low": 0.0, "high": 6.0}
    check_trial(Trial(kernel_of("clip_grad", bounds, g=g, y=y, dx=g), {"g": g, "y": y}, {"dx": expected}))
    mask = Kernel("clip_mask", (Param("y", 5), Param("mask", 1, OUT, "uint32")), bounds)
    check_trial(Trial(mask, {"y": y}, {"mask": np.uint32([0b01110])}))
