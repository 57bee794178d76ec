# SPDX-License-Identifier: Apache-2.0
"""Random windows, and TensorFlow's convolutions and pools for them in float64."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import assume
from hypothesis import strategies as st

from tvm_passes.kernels.geometry import Window

from .trials import Draw

SIZES = st.one_of(st.integers(1, 9), st.integers(10, 17))


def draw_window(draw: Draw, channels: int, out_channels: int, *, pooling: bool = False) -> Window:
    """A window with non-square kernels, unequal strides and uneven padding; above and to the left up to more than the
    kernel's size, unless ``pooling`` (there every window covers part of the image)."""
    rows = _draw_axis(draw, pooling)
    columns = _draw_axis(draw, pooling)
    height, out_height, kh, sh, pt = rows
    width, out_width, kw, sw, pl = columns
    return Window(height, width, channels, out_height, out_width, out_channels, kh, kw, sh, sw, pt, pl)


def _draw_axis(draw: Draw, pooling: bool) -> tuple[int, int, int, int, int]:
    """Size, output size, taps, stride, padding before."""
    size, taps, stride = draw(SIZES), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    before = draw(st.integers(0, taps - 1 if pooling else taps + 1))
    after = draw(st.integers(0, taps - 1 if pooling else taps + 1))
    out = (before + size + after - taps) // stride + 1
    if pooling:
        out = min(out, (size - 1 + before) // stride + 1)
    assume(out >= 1)
    return size, out, taps, stride, before


def padded(x: tf.Tensor, w: Window, value: float = 0.0) -> tf.Tensor:
    """The image (1, H, W, C) with its padding, cut to what the windows cover."""
    bottom = max(0, (w.OH - 1) * w.sh + w.kh - w.H - w.pt)
    right = max(0, (w.OW - 1) * w.sw + w.kw - w.W - w.pl)
    image = tf.pad(x, [[0, 0], [w.pt, bottom], [w.pl, right], [0, 0]], constant_values=value)
    return image[:, : (w.OH - 1) * w.sh + w.kh, : (w.OW - 1) * w.sw + w.kw]


def conv2d(x: tf.Tensor, rows: tf.Tensor, w: Window) -> tf.Tensor:
    """x (1, H, W, C) with rows (O, kh * kw * C + 1), the bias last: (1, OH, OW, O)."""
    kernel = tf.transpose(tf.reshape(rows[:, :-1], (w.O, w.kh, w.kw, w.C)), (1, 2, 3, 0))
    return tf.nn.conv2d(padded(x, w), kernel, (w.sh, w.sw), "VALID") + rows[:, -1]


def depthwise_conv2d(x: tf.Tensor, rows: tf.Tensor, w: Window) -> tf.Tensor:
    """x (1, H, W, C) with rows (O, kh * kw + 1), the bias last, O a multiple of C: (1, OH, OW, O)."""
    kernel = tf.transpose(tf.reshape(rows[:, :-1], (w.C, w.O // w.C, w.kh, w.kw)), (2, 3, 0, 1))
    # TensorFlow on a CPU knows no unequal strides here: every position is computed and those between are left out.
    full = tf.nn.depthwise_conv2d(padded(x, w), kernel, (1, 1, 1, 1), "VALID")
    return full[:, :: w.sh, :: w.sw] + rows[:, -1]


def avg_pool(x: tf.Tensor, w: Window) -> tf.Tensor:
    """Mean over the part of the window that lies on the image."""
    size, strides = (w.kh, w.kw), (w.sh, w.sw)
    total = tf.nn.avg_pool2d(padded(x, w), size, strides, "VALID")
    return total / tf.nn.avg_pool2d(padded(tf.ones_like(x), w), size, strides, "VALID")


def max_pool(x: tf.Tensor, w: Window) -> tf.Tensor:
    """Largest value of the part of the window that lies on the image."""
    return tf.nn.max_pool2d(padded(x, w, x.dtype.min), (w.kh, w.kw), (w.sh, w.sw), "VALID")


def image(values: np.ndarray, w: Window) -> tf.Tensor:
    """Flat values as (1, H, W, C) in float64."""
    return tf.constant(values.reshape(1, w.H, w.W, w.C), tf.float64)


def output_gradient(values: np.ndarray, w: Window) -> tf.Tensor:
    """Flat values as (1, OH, OW, O) in float64."""
    return tf.constant(values.reshape(1, w.OH, w.OW, w.O), tf.float64)
