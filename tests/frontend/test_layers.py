# SPDX-License-Identifier: Apache-2.0
"""Rows and kernels are the same numbers in two orders; the table of supported layers speaks of real ones."""

import numpy as np
import pytest

from tt_tflm.errors import InputError
from tt_tflm.frontend.layers import Layer, activations
from tt_tflm.frontend.supported import supported_layers
from tt_tflm.frontend.weighted import WEIGHTED_LAYERS

SHAPES = {
    "conv2d": ((3, 2, 5, 4), (4, 4, 4)),
    "pointwise": ((1, 1, 5, 4), (4, 4, 4)),
    "depthwise": ((3, 2, 5, 2), (4, 4, 10)),
    "conv1d": ((3, 5, 4), (7, 4)),
    "conv2d_transpose": ((3, 2, 4, 5), (8, 9, 4)),
    "dense": ((5, 4), (4,)),
}


def _layer(kind: str, bias: bool = True) -> Layer:
    kernel_shape, output_shape = SHAPES[kind]
    return Layer.of("layer", kind, kernel_shape, bias, (4, 4, 5), output_shape)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_rows_and_kernel_are_inverse(kind: str, bias: bool) -> None:
    layer = _layer(kind, bias)
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=layer.kernel_shape).astype(np.float32)
    values = rng.normal(size=layer.channels).astype(np.float32) if bias else None

    rows = layer.kernel_to_rows(kernel, values)
    again, bias_again = layer.rows_to_kernel(rows)

    assert rows.shape == (layer.channels, layer.stride) and rows.dtype == np.float32
    np.testing.assert_array_equal(again, kernel)
    np.testing.assert_array_equal(rows[:, layer.row_length + 1 :], 0)
    if bias:
        np.testing.assert_array_equal(bias_again, values)
    else:
        assert bias_again is None
        np.testing.assert_array_equal(rows[:, layer.row_length], 0)


def test_a_row_is_kernel_height_then_width_then_input_channel() -> None:
    layer = _layer("conv2d")
    kernel = np.arange(120, dtype=np.float32).reshape(layer.kernel_shape)
    rows = layer.kernel_to_rows(kernel, np.zeros(4))
    np.testing.assert_array_equal(rows[2, :30], kernel[..., 2].ravel())


def test_a_transposed_row_is_that_of_its_output_channel() -> None:
    layer = _layer("conv2d_transpose")
    kernel = np.arange(120, dtype=np.float32).reshape(layer.kernel_shape)
    rows = layer.kernel_to_rows(kernel, np.zeros(4))
    np.testing.assert_array_equal(rows[2, :30], kernel[:, :, 2].ravel())


def test_a_depthwise_row_is_numbered_input_channel_first() -> None:
    layer = _layer("depthwise")
    kernel = np.arange(60, dtype=np.float32).reshape(layer.kernel_shape)
    rows = layer.kernel_to_rows(kernel, np.zeros(10))
    np.testing.assert_array_equal(rows[3 * 2 + 1, :6], kernel[:, :, 3, 1].ravel())


@pytest.mark.parametrize(
    ("kind", "row_length", "stride", "parameters", "macs"),
    [
        ("conv2d", 30, 32, 124, 16 * 4 * 30),
        ("pointwise", 5, 6, 24, 16 * 4 * 5),
        ("depthwise", 6, 8, 70, 16 * 10 * 6),
        ("conv1d", 15, 16, 64, 7 * 4 * 15),
        ("conv2d_transpose", 30, 32, 124, 16 * 4 * 30),
        ("dense", 5, 6, 24, 20),
    ],
)
def test_sizes(kind: str, row_length: int, stride: int, parameters: int, macs: int) -> None:
    layer = _layer(kind)
    assert (layer.row_length, layer.stride, layer.parameters, layer.forward_macs) == (
        row_length,
        stride,
        parameters,
        macs,
    )


def test_rows_without_padding_are_taken_too() -> None:
    layer = _layer("conv2d")
    kernel = np.ones(layer.kernel_shape, np.float32)
    rows = layer.kernel_to_rows(kernel, np.ones(4))[:, : layer.row_length + 1]
    np.testing.assert_array_equal(layer.rows_to_kernel(rows)[0], kernel)


@pytest.mark.parametrize(
    ("kernel_shape", "bias_shape", "text"),
    [
        ((3, 2, 4, 5), (4,), "expected a kernel (3, 2, 5, 4), received (3, 2, 4, 5)"),
        ((3, 2, 5, 4), (5,), "expected a bias (4,), received (5,)"),
        ((3, 2, 5, 4), None, "expected a bias, received none"),
    ],
)
def test_wrong_kernels_are_refused(kernel_shape: tuple[int, ...], bias_shape: tuple[int, ...], text: str) -> None:
    bias = None if bias_shape is None else np.zeros(bias_shape)
    with pytest.raises(InputError) as error:
        _layer("conv2d").kernel_to_rows(np.zeros(kernel_shape), bias)
    assert str(error.value) == f"layer 'layer': {text}"


def test_wrong_rows_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected rows \(4, 32\), received \(4, 30\)"):
        _layer("conv2d").rows_to_kernel(np.zeros((4, 30)))


def test_every_supported_layer_and_activation_is_of_keras(keras: object) -> None:
    assert [name for name in WEIGHTED_LAYERS if not hasattr(keras.layers, name)] == []
    assert set(WEIGHTED_LAYERS) <= {name for line in supported_layers() for name in line.layer.split(", ")}
    assert [name for name in activations() if not hasattr(keras.activations, name)] == []
    assert {s.trains for s in supported_layers()} == {"weights", "passes gradients", "nothing"}
