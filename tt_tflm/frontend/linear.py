# SPDX-License-Identifier: Apache-2.0
"""The linear maps that layers with weights are made of: one kernel, one bias, and where they lie in the Keras layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tflm.frontend.layers import Layer
from tt_tflm.frontend.quiet import import_tensorflow

if TYPE_CHECKING:
    import keras

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """How the window of a convolution moves. Sizes of one axis are (1, n): a sequence is an image of one row.

    Attributes:
        strides: of height and width.
        dilation: of height and width.
        padding: (top, bottom), (left, right): zeros around the input; around the output, to be cut off, where the
            convolution is transposed.
        groups: of input channels that see each other; 1 for all. Of depthwise kernels it is not read.
        output_padding: rows and columns that a transposed convolution has more.
    """

    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    groups: int = 1
    output_padding: Pair = (0, 0)


@dataclass(frozen=True)
class Place:
    """Where numbers lie in a Keras layer: a variable, or one index along its first axis."""

    variable: keras.Variable
    index: int | None = None

    def read(self) -> np.ndarray:
        """float64: folding in double precision leaves one rounding, to float32, at the end."""
        values = np.asarray(self.variable, dtype=np.float64)
        return values if self.index is None else values[self.index]

    def write(self, values: np.ndarray) -> None:
        """Assign numbers of the place's size, whatever their shape."""
        whole = np.asarray(self.variable).copy()
        if self.index is None:
            whole = values.reshape(whole.shape)
        else:
            whole[self.index] = values.reshape(whole.shape[1:])
        self.variable.assign(whole)


@dataclass(frozen=True)
class Linear:
    """One linear map: y = kernel * x + bias.

    Attributes:
        layer: as the rest of the package sees it.
        kernel: its place; read in the shape ``layer.kernel_shape``.
        bias: its place; None where there is none.
        geometry: of convolutions.
    """

    layer: Layer
    kernel: Place
    bias: Place | None
    geometry: Geometry = Geometry()

    @property
    def key(self) -> tuple[int, int | None]:
        """Equal for the uses of one kernel in several places."""
        return id(self.kernel.variable), self.kernel.index

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """float64 kernel of ``layer.kernel_shape`` and bias (channels,) or None."""
        kernel = self.kernel.read().reshape(self.layer.kernel_shape)
        return kernel, None if self.bias is None else self.bias.read().reshape(self.layer.channels)

    def with_bias(self) -> Linear:
        """The same with a bias, which folding has given it."""
        layer = self.layer
        return replace(
            self,
            layer=Layer.of(layer.name, layer.kind, layer.kernel_shape, True, layer.input_shape, layer.output_shape),
        )

    def in_tensorflow(self, x: Any, kernel: Any, bias: Any) -> Any:
        """The map as TensorFlow operators.

        Args:
            x: (N, *layer.input_shape), float32.
            kernel: of ``layer.kernel_shape``.
            bias: (channels,), or None.
        """
        tf = import_tensorflow()
        kind = self.layer.kind
        if kind == "dense":
            y = tf.tensordot(x, kernel, 1)
        else:
            image = tf.reshape(x, (tf.shape(x)[0], *self.image_shape(self.layer.input_shape)))
            y = self._window(tf, image, kernel)
            y = tf.reshape(y, (tf.shape(x)[0], *self.layer.output_shape))
        return y if bias is None else y + bias

    def image_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(height, width, channels) of an input or output; a sequence is an image of one row."""
        height, width, channels = (1,) * (3 - len(shape)) + tuple(shape)
        return height, width, channels

    def _window(self, tf: Any, image: Any, kernel: Any) -> Any:
        g = self.geometry
        kind = self.layer.kind
        if kind == "conv1d":
            kernel = kernel[None]
        if kind == "conv2d_transpose":
            (top, bottom), (left, right) = g.padding
            height, width, channels = self.image_shape(self.layer.output_shape)
            full = (tf.shape(image)[0], height + top + bottom, width + left + right, channels)
            y = tf.nn.conv2d_transpose(image, kernel, full, g.strides, "VALID")
            return y[:, top : top + height, left : left + width]
        padded = tf.pad(image, ((0, 0), *g.padding, (0, 0)))
        kernel = _spread(tf, kernel, g.dilation)
        if kind == "depthwise":
            if g.strides[0] == g.strides[1]:
                return tf.nn.depthwise_conv2d(padded, kernel, (1, *g.strides, 1), "VALID")
            # TensorFlow has one stride for both axes; what lies between the strides is left out.
            y = tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")
            return y[:, :: g.strides[0], :: g.strides[1]]
        if g.groups == 1:
            return tf.nn.conv2d(padded, kernel, g.strides, "VALID")
        # TensorFlow's kernels for the CPU have no gradient of grouped convolutions.
        parts = zip(tf.split(padded, g.groups, -1), tf.split(kernel, g.groups, -1), strict=True)
        return tf.concat([tf.nn.conv2d(x, k, g.strides, "VALID") for x, k in parts], -1)


def _spread(tf: Any, kernel: Any, dilation: Pair) -> Any:
    """The kernel with zeros between its taps: TensorFlow's kernels for the CPU have no gradient of dilated ones."""
    if dilation == (1, 1):
        return kernel
    (height, width), (down, right) = kernel.shape[:2], dilation
    spread = tf.reshape(kernel, (height, 1, width, 1, *kernel.shape[2:]))
    spread = tf.pad(spread, ((0, 0), (0, down - 1), (0, 0), (0, right - 1), (0, 0), (0, 0)))
    spread = tf.reshape(spread, (height * down, width * right, *kernel.shape[2:]))
    return spread[: (height - 1) * down + 1, : (width - 1) * right + 1]


def same_padding(size: int, taps: int, stride: int, dilation: int) -> Pair:
    """Zeros before and after an axis for TensorFlow's padding "same"."""
    span = (taps - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2
