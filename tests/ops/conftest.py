# SPDX-License-Identifier: Apache-2.0
"""The device runtime as a shared library, called through ctypes."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

OPS = Path(__file__).parents[2] / "ops"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")


def pointer(array: np.ndarray | None) -> ctypes.c_void_p:
    """Address of a contiguous array's data, NULL for None."""
    if array is None:
        return ctypes.c_void_p(None)
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


class Runtime:
    """The library, with the conversions that tests share."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.tt_status_text.restype = ctypes.c_char_p
        self.library.tt_all_finite.restype = ctypes.c_bool

    def all_finite(self, values: np.ndarray) -> bool:
        return self.library.tt_all_finite(pointer(values), ctypes.c_uint32(values.size))

    def softmax_cross_entropy(
        self, logits: np.ndarray, label: int, *, gradient: np.ndarray | None = None
    ) -> tuple[int, float]:
        """Status and loss; the gradient goes to `gradient` (which may be `logits`)."""
        loss = ctypes.c_float(np.nan)
        status = self.library.tt_softmax_cross_entropy(
            pointer(logits),
            ctypes.c_uint32(logits.size),
            ctypes.c_uint32(label),
            pointer(gradient),
            ctypes.byref(loss),
        )
        return status, loss.value


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("not installed: a host C compiler")
    library = tmp_path_factory.mktemp("runtime") / "libruntime.so"
    sources = sorted((OPS / "src").glob("tt_*.c"))
    flags = ("-O2", *WARNINGS, "-shared", "-fPIC", f"-I{OPS / 'include'}")
    subprocess.run([compiler, *flags, *sources, "-lm", "-o", library], check=True)
    return Runtime(library)
