# SPDX-License-Identifier: Apache-2.0
import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tt_tflm.devices import get_profile

OPS = Path(__file__).parents[2] / "ops"

SMALLEST_DENORMAL = np.float32(1e-45)
QUIET_NAN_WITH_SIGN = np.uint32(0xFFC00000).view(np.float32)
SIGNALLING_NAN = np.uint32(0x7F800001).view(np.float32)


def test_finite_values_of_every_kind_pass(runtime):
    limits = np.finfo(np.float32)
    values = np.array([0.0, -0.0, limits.max, limits.min, limits.tiny, SMALLEST_DENORMAL, 1.0], np.float32)
    assert runtime.all_finite(values)


@pytest.mark.parametrize("position", [0, 3, 6])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, QUIET_NAN_WITH_SIGN, SIGNALLING_NAN])
def test_one_bad_value_is_found_wherever_it_stands(runtime, bad, position):
    values = np.ones(7, np.float32)
    values[position] = bad
    assert not runtime.all_finite(values)


def test_no_values_are_finite(runtime):
    assert runtime.library.tt_all_finite(None, 0)


def test_answer_holds_where_the_compiler_may_assume_finite_values(tmp_path):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("not installed: gcc")
    flags = get_profile("host").compile_flags(kernel=True)
    source, compiled, library = OPS / "src/tt_all_finite.c", tmp_path / "finite.o", tmp_path / "finite.so"
    subprocess.run([compiler, *flags, "-fPIC", f"-I{OPS / 'include'}", "-c", source, "-o", compiled], check=True)
    # Linked without the flags: -ffast-math would switch the whole process to flushing denormal numbers.
    subprocess.run([compiler, "-shared", compiled, "-o", library], check=True)
    call = ctypes.CDLL(str(library)).tt_all_finite
    call.restype = ctypes.c_bool
    for last, expected in [(1.0, True), (np.nan, False), (np.inf, False), (-np.inf, False)]:
        values = np.array([0.0] * 32 + [last], np.float32)
        assert call(ctypes.c_void_p(values.ctypes.data), 33) is expected
