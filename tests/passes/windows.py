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


def draw_window(
    draw: Draw, channels: int, out_channels: int, *, pooling: bool = False, most_apart: int = 1, groups: int = 1
) -> Window:
    """A window with non-square kernels, unequal strides and uneven padding; above and to the left up to more than the
    kernel's size, unless ``pooling`` (there every window covers part of the image).

    Args:
        most_apart: largest dilation.
    """
    height, out_height, kh, sh, pt, dh = _draw_axis(draw, pooling, most_apart)
    width, out_width, kw, sw, pl, dw = _draw_axis(draw, pooling, most_apart)
    sizes = (height, width, channels, out_height, out_width, out_channels)
    return Window(*sizes, kh, kw, sh, sw, pt, pl, dh, dw, groups)


def _draw_axis(draw: Draw, pooling: bool, most_apart: int) -> tuple[int, int, int, int, int, int]:
    """Size, output size, taps, stride, padding before, dilation."""
    size, taps, stride = draw(SIZES), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    apart = draw(st.integers(1, most_apart)) if taps > 1 else 1
    reach = (taps - 1) * apart + 1
    before = draw(st.integers(0, taps - 1 if pooling else reach + 1))
    after = draw(st.integers(0, taps - 1 if pooling else reach + 1))
    out = (before + size + after - reach) // stride + 1
    if pooling:
        out = min(out, (size - 1 + before) // stride + 1)
    assume(out >= 1)
    return size, out, taps, stride, before, apart


def draw_transposed(draw: Draw, channels: int, out_channels: int) -> Window:
    """The window of a transposed convolution that cuts off some of its output, and adds rows and columns of bias."""
    height, out_height, kh, sh, pt, dh = _draw_spreading_axis(draw)
    width, out_width, kw, sw, pl, dw = _draw_spreading_axis(draw)
    sizes = (height, width, channels, out_height, out_width, out_channels)
    return Window(*sizes, kh, kw, sh, sw, pt, pl, dh, dw)


def _draw_spreading_axis(draw: Draw) -> tuple[int, int, int, int, int, int]:
    size, taps, stride = draw(st.integers(1, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    apart = draw(st.sampled_from((1, 1, 2))) if taps > 1 else 1
    reach = (taps - 1) * apart + 1
    before, after = draw(st.integers(0, reach)), draw(st.integers(-reach, stride))
    out = (size - 1) * stride + reach - before + after
    assume(out >= 1)
    return size, out, taps, stride, before, apart


def padded(x: tf.Tensor, w: Window, value: float = 0.0) -> tf.Tensor:
    """The image (1, H, W, C) with its padding, cut to what the windows cover."""
    rows, columns = (w.OH - 1) * w.sh + w.reach[0], (w.OW - 1) * w.sw + w.reach[1]
    bottom, right = max(0, rows - w.H - w.pt), max(0, columns - w.W - w.pl)
    image = tf.pad(x, [[0, 0], [w.pt, bottom], [w.pl, right], [0, 0]], constant_values=value)
    return image[:, :rows, :columns]


def _apart(kernel: tf.Tensor, w: Window) -> tf.Tensor:
    """A kernel (kh, kw, ...) with zeros between its taps: TensorFlow on a CPU has no gradients of dilated kernels."""
    rows, columns = (np.eye(reach)[::apart] for reach, apart in zip(w.reach, (w.dh, w.dw), strict=True))
    return tf.einsum("rR,sS,rsio->RSio", rows, columns, kernel)


def conv2d(x: tf.Tensor, rows: tf.Tensor, w: Window) -> tf.Tensor:
    """x (1, H, W, C) with rows (O, kh * kw * C / groups + 1), the bias last: (1, OH, OW, O)."""
    kernel = _apart(tf.transpose(tf.reshape(rows[:, :-1], (w.O, w.kh, w.kw, w.depth)), (1, 2, 3, 0)), w)
    groups = zip(tf.split(padded(x, w), w.groups, -1), tf.split(kernel, w.groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, of, (w.sh, w.sw), "VALID") for part, of in groups], -1) + rows[:, -1]


def conv2d_transpose(x: tf.Tensor, rows: tf.Tensor, w: Window) -> tf.Tensor:
    """x (1, H, W, C) with rows (O, kh * kw * C + 1), the bias last: (1, OH, OW, O)."""
    kernel = _apart(tf.transpose(tf.reshape(rows[:, :-1], (w.O, w.kh, w.kw, w.C)), (1, 2, 0, 3)), w)
    height, width = (w.H - 1) * w.sh + w.reach[0], (w.W - 1) * w.sw + w.reach[1]
    y = tf.nn.conv2d_transpose(x, kernel, (1, height, width, w.O), (w.sh, w.sw), "VALID")
    bottom, right = max(0, w.OH + w.pt - height), max(0, w.OW + w.pl - width)
    y = tf.pad(y, [[0, 0], [0, bottom], [0, right], [0, 0]])
    return y[:, w.pt : w.pt + w.OH, w.pl : w.pl + w.OW] + rows[:, -1]


def depthwise_conv2d(x: tf.Tensor, rows: tf.Tensor, w: Window) -> tf.Tensor:
    """x (1, H, W, C) with rows (O, kh * kw + 1), the bias last, O a multiple of C: (1, OH, OW, O)."""
    kernel = _apart(tf.transpose(tf.reshape(rows[:, :-1], (w.C, w.O // w.C, w.kh, w.kw)), (2, 3, 0, 1)), w)
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
