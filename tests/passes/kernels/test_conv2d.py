# SPDX-License-Identifier: Apache-2.0
"""Dense convolution against tf.nn.conv2d and its gradients: windows of every shape, points, lines, Dense layers."""

import numpy as np
import pytest
from hypothesis import strategies as st

from tvm_passes.kernel import OUT, ROWS, Kernel, Param
from tvm_passes.kernels.conv2d import blocks
from tvm_passes.kernels.geometry import Window, row_stride
from tvm_passes.kernels.tiling import HOST
from tvm_passes.schedule import implement

from ..compiled import Rows
from ..trials import Draw, Trial, check_op, check_trial, normal
from ..windows import SIZES, conv2d, draw_window, image
from .weighted_trials import Weighted

EXAMPLES = 20
FEWER = 8


def _draw_window(draw: Draw) -> Window:
    channels, out_channels = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    kind = draw(st.sampled_from(("window", "window", "window", "pointwise", "line", "dense")))
    if kind == "pointwise":
        height, width = draw(SIZES), draw(SIZES)
        return Window(height, width, channels, height, width, out_channels, 1, 1, 1, 1, 0, 0)
    if kind == "dense":
        return Window(1, 1, draw(st.integers(1, 33)), 1, 1, out_channels, 1, 1, 1, 1, 0, 0)
    w = draw_window(draw, channels, out_channels)
    return Window(1, w.W, channels, 1, w.OW, out_channels, 1, w.kw, 1, w.sw, 0, w.pl) if kind == "line" else w


def draw_spread(draw: Draw) -> Window:
    """Dilation, groups, or both, of which a point has none."""
    groups = draw(st.sampled_from((1, 2, 3)))
    channels, out_channels = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 6))
    if draw(st.integers(0, 4)) == 0:
        size = draw(SIZES)
        return Window(size, 2, channels, size, 2, out_channels, 1, 1, 1, 1, 0, 0, groups=groups)
    return draw_window(draw, channels, out_channels, most_apart=4, groups=groups)


CASES = Weighted("conv2d", conv2d, _draw_window, lambda w: w.taps * w.C).cases()
SPREAD = Weighted("conv2d", conv2d, draw_spread, lambda w: w.taps * w.depth).cases()


@pytest.mark.parametrize("op", CASES)
def test_conv2d(op: str) -> None:
    check_op(CASES[op], EXAMPLES)


@pytest.mark.parametrize("op", SPREAD)
def test_dilation_and_groups(op: str) -> None:
    check_op(SPREAD[op], FEWER)


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (8, 4, [(0, 8, 4)]),
        (10, 4, [(0, 8, 4), (8, 10, 2)]),
        (3, 4, [(0, 3, 3)]),
        (1, 1, [(0, 1, 1)]),
    ],
)
def test_channels_are_cut_into_full_blocks_and_a_rest(count, size, expected):
    assert blocks(count, size) == expected


def test_windows_that_lie_on_padding_alone_give_the_bias():
    # Three columns of padding and a kernel of two: the first window sees nothing of the image.
    w = Window(2, 3, 2, 2, 5, 3, 1, 2, 1, 1, 0, 3)
    rng = np.random.default_rng(0)
    x, rows = normal(rng, 12), normal(rng, 3, row_stride(4))
    kernel = Kernel("conv2d", _params(x, rows, w), {**w.attrs(), "stride": rows.shape[1]})
    expected = conv2d(image(x, w), rows[:, :5].astype(np.float64), w).numpy()
    assert np.array_equal(expected[0, :, 0], np.broadcast_to(rows[:, 4].astype(np.float64), (2, 3)))
    check_trial(Trial(kernel, {"x": x, "rows": Rows(rows, 4, (1,))}, {"y": expected}))


def test_rows_are_pointers_of_their_own():
    w = Window(4, 4, 2, 4, 4, 6, 1, 1, 1, 1, 0, 0)
    params = (Param("x", 32), Param("rows", 24, ROWS), Param("y", 96, OUT))
    functions = implement("conv", Kernel("conv2d", params, {**w.attrs(), "stride": 4}), HOST)
    assert sorted(functions) == ["conv", "conv_block2", "conv_block4"]
    assert [str(v.name) for v in functions["conv_block4"].params] == ["x", "row0", "row1", "row2", "row3", "y"]


def _params(x: np.ndarray, rows: np.ndarray, w: Window) -> tuple[Param, ...]:
    return Param("x", x.size), Param("rows", rows.size, ROWS), Param("y", w.pixels * w.O, OUT)
