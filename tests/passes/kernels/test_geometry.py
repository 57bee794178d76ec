# SPDX-License-Identifier: Apache-2.0
"""Windows: what they count, against counting one by one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.kernels.geometry import Window, row_stride

from ..trials import same_in_every_run
from ..windows import draw_window


@st.composite
def windows(draw) -> Window:
    return draw_window(draw, draw(st.integers(1, 4)), draw(st.integers(1, 4)), most_apart=3)


def _on_image(w: Window, oy: int, ox: int) -> list[tuple[int, int]]:
    taps = [(r * w.dh, s * w.dw) for r in range(w.kh) for s in range(w.kw)]
    positions = [(oy * w.sh + down - w.pt, ox * w.sw + right - w.pl) for down, right in taps]
    return [(y, x) for y, x in positions if 0 <= y < w.H and 0 <= x < w.W]


@same_in_every_run(200)
@given(windows())
def test_valid_taps_are_those_on_the_image(w):
    assert w.valid_taps() == sum(len(_on_image(w, oy, ox)) for oy in range(w.OH) for ox in range(w.OW))


@same_in_every_run(200)
@given(windows())
def test_interior_columns_are_those_whose_window_lies_inside(w):
    columns = [ox for ox in range(w.OW) if ox * w.sw - w.pl >= 0 and ox * w.sw - w.pl + w.reach[1] <= w.W]
    first, last = w.interior_columns()
    assert list(range(first, last)) == columns


@same_in_every_run(50)
@given(windows())
def test_attributes_round_trip(w):
    for window in (w, w.transposed(), replace(w, groups=2)):
        assert Window.of({**window.attrs(), "stride": 4, "low": 0.0}) == window
    assert w.transposed().transposed() == w


def test_a_pointwise_window_is_one_row_of_positions():
    w = Window(5, 3, 4, 5, 3, 8, 1, 1, 1, 1, 0, 0)
    flat = w.flattened()
    assert (flat.H, flat.W, flat.OH, flat.OW) == (1, 15, 1, 15)
    assert flat.valid_taps() == w.valid_taps() == 15
    strided = Window(5, 3, 4, 3, 2, 8, 1, 1, 2, 2, 0, 0)
    assert strided.flattened() is strided


def test_rows_hold_weights_and_bias_and_are_even():
    assert [row_stride(n) for n in (1, 2, 3, 9, 27)] == [2, 4, 4, 10, 28]
