# SPDX-License-Identifier: Apache-2.0
"""A layer with weights as the rest of the package sees it, and the names of activations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.frontend.quiet import import_keras

# Axes of a Keras kernel, those of the output channel first: transposed so, a channel's weights are one run.
_CHANNELS_FIRST = {
    "conv2d": (3, 0, 1, 2),
    "pointwise": (3, 0, 1, 2),
    "depthwise": (2, 3, 0, 1),
    "conv1d": (2, 0, 1),
    "dense": (1, 0),
    "conv2d_transpose": (2, 0, 1, 3),
}
KINDS = tuple(_CHANNELS_FIRST)


@dataclass(frozen=True)
class Layer:
    """One layer with weights, under its Keras name.

    Attributes:
        name: Keras name; a layer inside a nested model whose name is not unique is "<model>/<layer>"; the halves of a
            SeparableConv2D are "<name>/depthwise" and "<name>/pointwise".
        kind: "conv2d", "pointwise" (a conv2d with a 1x1 kernel), "depthwise", "conv1d", "dense" or "conv2d_transpose".
        kernel_shape: Keras layout: conv2d and pointwise (kh, kw, cin of a group, cout), depthwise (kh, kw, cin,
            multiplier), conv1d (k, cin of a group, cout), dense (in, out), conv2d_transpose (kh, kw, cout, cin). What
            has one row of taps has kh 1.
        channels: output channels, that is rows.
        row_length: weights in a row, its bias not counted.
        bias: whether a bias exists: the layer has one, or a batch norm is folded into it.
        input_shape: without the batch axis.
        output_shape: without the batch axis.
        forward_macs: multiply-accumulates of one forward pass; taps that fall on padding are counted.
    """

    name: str
    kind: str
    kernel_shape: tuple[int, ...]
    channels: int
    row_length: int
    bias: bool
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    forward_macs: int

    @classmethod
    def of(
        cls,
        name: str,
        kind: str,
        kernel_shape: tuple[int, ...],
        bias: bool,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
    ) -> Layer:
        """A layer whose channels, row length and MACs follow from its kernel and output shapes."""
        if kind == "depthwise":
            channels = math.prod(kernel_shape[2:])
        else:
            channels = kernel_shape[_CHANNELS_FIRST[kind][0]]
        row_length = math.prod(kernel_shape) // channels
        # A transposed convolution spreads each input position over its window.
        positions = math.prod(input_shape[:-1]) * channels if kind == "conv2d_transpose" else math.prod(output_shape)
        macs = positions * row_length
        return cls(name, kind, kernel_shape, channels, row_length, bias, input_shape, output_shape, macs)

    @property
    def stride(self) -> int:
        """Floats from one stored row to the next: weights and bias, rounded up to an even count."""
        return (self.row_length + 2) // 2 * 2

    @property
    def parameters(self) -> int:
        """Trainable numbers: kernel and, where it exists, bias."""
        return self.channels * (self.row_length + int(self.bias))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """One number for each channel, (channels,), in a shape that a kernel can be multiplied by."""
        if self.kind == "depthwise":  # its output channels are spread over the last two axes, cin major
            return values.reshape(self.kernel_shape[2:])
        return values[:, None] if self.kind == "conv2d_transpose" else values

    @property
    def row_axes(self) -> tuple[int, ...]:
        """Axes of the Keras kernel in the order in which rows hold them, those of the output channel first."""
        return _CHANNELS_FIRST[self.kind]

    def kernel_to_rows(self, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """Store a kernel and a bias as rows.

        Args:
            kernel: `kernel_shape`, Keras layout.
            bias: (channels,), or None exactly where the layer has no bias.

        Returns:
            float32 (channels, stride); the bias stands at index row_length, 0 where there is none; padding is 0.

        Raises:
            InputError: a shape differs, or a bias is given or missing against `bias`.
        """
        kernel = np.asarray(kernel)
        if kernel.shape != self.kernel_shape:
            raise InputError(f"layer '{self.name}': expected a kernel {self.kernel_shape}, received {kernel.shape}")
        if (bias is not None) != self.bias:
            expected, received = ("a bias", "none") if self.bias else ("no bias", "one")
            raise InputError(f"layer '{self.name}': expected {expected}, received {received}")
        rows = np.zeros((self.channels, self.stride), np.float32)
        rows[:, : self.row_length] = kernel.transpose(self.row_axes).reshape(self.channels, -1)
        if bias is not None:
            bias = np.asarray(bias)
            if bias.shape != (self.channels,):
                raise InputError(f"layer '{self.name}': expected a bias ({self.channels},), received {bias.shape}")
            rows[:, self.row_length] = bias
        return rows

    def rows_to_kernel(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The inverse of :meth:`kernel_to_rows`.

        Args:
            rows: (channels, n) with n at least row_length + 1; what follows the bias is ignored.

        Returns:
            float32 kernel of `kernel_shape` and float32 bias (channels,), None where the layer has no bias.

        Raises:
            InputError: the shape differs.
        """
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[0] != self.channels or rows.shape[1] <= self.row_length:
            raise InputError(
                f"layer '{self.name}': expected rows ({self.channels}, {self.stride}), received {rows.shape}"
            )
        axes = self.row_axes
        runs = rows[:, : self.row_length].reshape([self.kernel_shape[axis] for axis in axes])
        kernel = np.ascontiguousarray(runs.transpose(np.argsort(axes)))
        return kernel, rows[:, self.row_length].copy() if self.bias else None


def activations() -> tuple[str, ...]:
    """Names in `keras.activations` of those that there is an operation for."""
    from tvm_passes.ops import OPS  # TVM takes seconds to import, and most commands end before they need it.

    return ("linear", *(name for op in OPS.values() for name in op.activation_names))


def activation_name(function: object) -> str | None:
    """Which of ``activations()`` a Keras activation is, None where it is another; without one it is ``linear``."""
    keras = import_keras()
    if function is None:
        return "linear"
    named = next((name for name in activations() if getattr(keras.activations, name, None) is function), None)
    if named is not None:
        return named
    # tf.nn.softmax, keras.ops.sigmoid or a layer: what it is called is what it computes, if it is theirs.
    kind = getattr(function, "__name__", type(function).__name__).lower()
    theirs = str(getattr(function, "__module__", type(function).__module__)).split(".")[0] in ("keras", "tensorflow")
    return kind if theirs and kind in activations() else None
