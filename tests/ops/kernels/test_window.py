# SPDX-License-Identifier: Apache-2.0
"""Which windows the kernels may be given."""

import ctypes

import pytest

from tt_tflm.tflite.op_params import WINDOW_FIELDS
from tvm_passes.kernels.geometry import Window

from .library import c_window, library

OK, INVALID_ARGUMENT = 0, 9
GOOD = Window(8, 9, 4, 8, 9, 4, 3, 3, 1, 1, 1, 1)


def check(kind: str = "", window: Window = GOOD, **changed: int) -> int:
    struct = c_window(window.attrs() | changed)
    return getattr(library(), f"tt_window_check{kind}")(ctypes.byref(struct))


@pytest.mark.parametrize("kind", ["", "_depthwise", "_pool"])
def test_good_windows_pass(kind):
    assert check(kind) == OK


@pytest.mark.parametrize("field", WINDOW_FIELDS)
def test_sizes_are_positive_and_padding_is_not_negative(field):
    least = 0 if field in ("pt", "pl") else 1
    for value in (least - 1, -(2**31)):
        assert check(**{field: value}) == INVALID_ARGUMENT
    assert check(**{field: least}) == OK


@pytest.mark.parametrize("field", WINDOW_FIELDS)
@pytest.mark.parametrize("value", [2**29, 2**31 - 1])
def test_sizes_beyond_int32_are_refused(field, value):
    assert check(**{field: value}) == INVALID_ARGUMENT


@pytest.mark.parametrize(
    "changed",
    [{"H": 2**15, "W": 2**15}, {"OH": 2**15, "OW": 2**14}, {"C": 2**16, "O": 2**14}, {"kh": 2**14, "kw": 2**14}],
)
def test_arrays_stay_below_two_gibibytes(changed):
    assert check(**changed) == INVALID_ARGUMENT


def test_windows_may_lie_on_padding_alone_but_not_those_of_pools():
    assert check(pl=4, OW=12) == OK
    assert check("_pool", pl=3) == INVALID_ARGUMENT
    assert check("_pool", pl=1, OW=11) == INVALID_ARGUMENT
    assert check("_pool", pl=1, OW=10) == OK


@pytest.mark.parametrize("kind", ["_depthwise", "_pool", "_pad"])
def test_channels_go_by_themselves(kind):
    assert check(kind, O=8) == INVALID_ARGUMENT


def test_a_padded_image_holds_the_image():
    assert check("_pad", pt=1, pl=2, OH=9, OW=11) == OK
    assert check("_pad", pt=1, pl=2, OH=8, OW=11) == INVALID_ARGUMENT
    assert check("_pad", pt=1, pl=2, OH=9, OW=10) == INVALID_ARGUMENT
