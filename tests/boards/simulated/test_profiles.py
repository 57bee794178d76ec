# SPDX-License-Identifier: Apache-2.0
import pytest

from tt_tflm.devices import core_names, device_names, get_profile

CORES = [name for name in core_names() if name != "host"]
MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize("name", device_names())
def test_only_kernels_are_compiled_with_fast_math(name):
    profile = get_profile(name)
    assert "-ffast-math" in profile.compile_flags(kernel=True)
    assert "-ffast-math" not in profile.compile_flags(kernel=False)
    assert profile.is_host == (name == "host")


@pytest.mark.parametrize("name", CORES)
def test_boards_hold_a_large_model(name):
    board = get_profile(name).board
    weights, arena_and_pool, x = 2.6 * MEBIBYTE, 1.2 * MEBIBYTE, 0.2 * MEBIBYTE
    assert board.data.length > weights + arena_and_pool + x
    assert board.code.length >= MEBIBYTE


def test_profiles_cannot_be_changed():
    with pytest.raises(AttributeError):
        get_profile("host").name = "other"
