# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution against tf.nn.depthwise_conv2d and its gradients."""

import pytest
from hypothesis import strategies as st

from tvm_passes.kernel import OUT, ROWS, Kernel, Param
from tvm_passes.kernels.axis import Axis, gradient_axes
from tvm_passes.kernels.geometry import Window
from tvm_passes.kernels.tiling import CORTEX_M, HOST
from tvm_passes.schedule import implement

from ..trials import Draw, check_op
from ..windows import depthwise_conv2d, draw_window
from .weighted_trials import Weighted

EXAMPLES = 20
FEWER = 8


def _draw_window(draw: Draw, most_apart: int = 1) -> Window:
    channels, multiplier = draw(st.integers(1, 6)), draw(st.sampled_from((1, 1, 2, 3)))
    return draw_window(draw, channels, channels * multiplier, most_apart=most_apart)


def draw_dilated(draw: Draw) -> Window:
    return _draw_window(draw, 4)


CASES = Weighted("depthwise_conv2d", depthwise_conv2d, _draw_window, lambda w: w.taps).cases()
DILATED = Weighted("depthwise_conv2d", depthwise_conv2d, draw_dilated, lambda w: w.taps).cases()


@pytest.mark.parametrize("op", CASES)
def test_depthwise_conv2d(op: str) -> None:
    check_op(CASES[op], EXAMPLES)


@pytest.mark.parametrize("op", DILATED)
def test_dilation(op: str) -> None:
    check_op(DILATED[op], FEWER)


@pytest.mark.parametrize(("channels", "out_channels", "lanes"), [(4, 4, 2), (3, 3, 1), (4, 8, 1)])
def test_two_channels_go_side_by_side_where_pairs_are_loaded(channels, out_channels, lanes):
    w = Window(5, 5, channels, 5, 5, out_channels, 3, 3, 1, 1, 1, 1)
    params = (Param("x", 25 * channels), Param("rows", 10 * out_channels, ROWS), Param("y", 25 * out_channels, OUT))
    kernel = Kernel("depthwise_conv2d", params, {**w.attrs(), "stride": 10})
    assert sorted(implement("dw", kernel, CORTEX_M)) == ["dw", f"dw_block{lanes}"]
    assert sorted(implement("dw", kernel, HOST)) == ["dw", "dw_block1"]


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize(("taps", "stride", "pad"), [(3, 1, 1), (3, 2, 1), (5, 3, 2), (2, 3, 0), (1, 2, 0), (4, 2, 3)])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_gradient_axes_gather_exactly_the_taps_of_the_forward_pass(size, taps, stride, pad, dilation):
    out = (size + pad - 1) // stride + 1
    pairs = [(o, r) for o in range(out) for r in range(taps)]
    sources = [(o * stride + r * dilation - pad, o, r) for o, r in pairs]
    forward = {source for source in sources if 0 <= source[0] < size}
    gathered = [
        (q * axis.step + axis.start, axis.source(q, m), axis.tap + m * axis.tap_step)
        for axis in gradient_axes(size, out, taps, stride, pad, dilation)
        for q in range(axis.count)
        for m in range(axis.taps)
        if axis.inside(q, m)
    ]
    assert len(gathered) == len(set(gathered))
    assert set(gathered) == forward


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize(("count", "size", "start"), [(9, 9, -1), (3, 3, -2), (1, 5, 0), (12, 10, 0), (4, 2, -3)])
def test_tiles_cover_every_column_once(width, count, size, start):
    axis = Axis(count, 1, 0, 1, start, 1, 3, 0, 1, size)
    borders, (first, number) = axis.tiles(width)
    columns = [c for left, columns in borders for c in range(left, left + columns)]
    columns += range(first, first + number * width)
    assert sorted(columns) == list(range(count))
    inside = [c for c in range(first, first + number * width) for m in range(3) if not axis.inside(c, m)]
    assert inside == []
