# SPDX-License-Identifier: Apache-2.0
"""Declared kernels through schedule, unpacked API and C printer into a shared library, run on arrays by ctypes."""

from __future__ import annotations

import ctypes
import functools
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tvm

from tvm_passes.kernel import IN, INOUT, OUT, ROWS, Kernel, declare
from tvm_passes.kernels.tiling import CORTEX_M, HOST, Tiling
from tvm_passes.print_c import print_c
from tvm_passes.schedule import Schedule
from tvm_passes.unpacked_api import unpacked_api

OPS = Path(__file__).parents[2] / "ops"
TILINGS = {"host": HOST, "cortex_m": CORTEX_M}
# No -ffast-math here: a NaN that is read by mistake has to stay one. Multiply-accumulates are counted.
FLAGS = (
    *("-std=c99", "-O1", "-fno-math-errno", "-fPIC", "-shared", "-DTT_COUNT_MACS"),
    *("-Wall", "-Wextra", "-Wconversion", "-Wvla", "-Werror", "-pedantic"),
)
HEADERS = sorted((OPS / "include").glob("*.h"))
HEAD = "".join(f'#include "{path.name}"\n' for path in HEADERS) + "uint64_t tt_mac_count;\n"
_GUARD = 64  # bytes around every buffer; a multiple of the alignment that kernels may count on
_CANARY = 0xFF  # NaN as a float, an absurd number as an integer
_serial = itertools.count()


class RowsStruct(ctypes.Structure):
    """``tt_rows_t``."""

    _fields_ = [
        ("base", ctypes.c_void_p),
        ("pool", ctypes.c_void_p),
        ("slot", ctypes.c_void_p),
        ("channels", ctypes.c_void_p),
        ("stride", ctypes.c_uint32),
        ("trained", ctypes.c_uint32),
    ]


class PrototypesStruct(ctypes.Structure):
    """``tt_prototypes_t``."""

    _fields_ = [
        ("sums", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("classes", ctypes.c_uint32),
        ("elements", ctypes.c_uint32),
        ("temperature", ctypes.c_float),
    ]


@dataclass
class Rows:
    """The rows of a layer, float32 (channels, stride), the channels of ``trained`` in a row pool of their own. What the
    base holds in their place is NaN, and so is the padding of every row: neither may be read."""

    values: np.ndarray
    row_length: int
    trained: tuple[int, ...] = ()

    def struct(self, keep: list[object]) -> RowsStruct:
        """The C structure; ``keep`` receives what it points to."""
        base, pool = Guarded(self.values), None
        rows = base.array.reshape(self.values.shape)
        rows[:, self.row_length + 1 :] = np.nan
        slot, channels = np.full(len(rows), 0xFFFF, np.uint16), np.array(self.trained, np.uint16)
        if self.trained:
            pool = Guarded(rows[list(self.trained)])
            rows[list(self.trained)] = np.nan
            slot[list(self.trained)] = np.arange(len(self.trained))
        keep += [base, pool, slot, channels]
        return RowsStruct(
            base.address,
            pool.address if pool else None,
            slot.ctypes.data if self.trained else None,
            channels.ctypes.data if self.trained else None,
            rows.shape[1],
            len(self.trained),
        )


class Guarded:
    """A copy of an array, 16-byte aligned, between guards that show whether a kernel wrote beside it."""

    def __init__(self, values: np.ndarray) -> None:
        self._memory = np.full(values.nbytes + 2 * _GUARD + 16, _CANARY, np.uint8)
        start = _GUARD + -(self._memory.ctypes.data + _GUARD) % 16
        self._slice = slice(start, start + values.nbytes)
        self.array = self._memory[self._slice].view(values.dtype)
        self.array[:] = values.ravel()

    @property
    def address(self) -> int:
        return self.array.ctypes.data

    def check(self, name: str) -> None:
        """Fail if a guard has changed."""
        intact = np.delete(self._memory, np.r_[self._slice]) == _CANARY
        assert intact.all(), f"{name}: written outside of the buffer"


@dataclass
class Result:
    """What a call wrote: parameter name to array, and the multiply-accumulates it performed."""

    written: dict[str, np.ndarray] = field(default_factory=dict)
    macs: int = 0


class CompiledKernel:
    """One kernel in every tiling."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.source = HEAD + "".join(c_text(kernel, f"kernel_{name}", tiling) for name, tiling in TILINGS.items())
        self._library = ctypes.CDLL(str(compile_library(self.source)))

    def run(self, tiling: str, arguments: Mapping[str, object], overlay: str | None = None) -> Result:
        """Call the kernel. Outputs hold NaN before the call; ``overlay`` names an input to be put in their memory.

        Args:
            arguments: parameter name to array, ``Rows`` or a ctypes structure; outputs are left out.
        """
        keep: list[object] = []
        buffers: dict[str, Guarded] = {}
        pointers = []
        for param in self.kernel.params:
            value = arguments.get(param.name)
            if param.role in (IN, INOUT):
                buffers[param.name] = Guarded(np.ascontiguousarray(value, param.dtype))
                assert buffers[param.name].array.size == param.elements, param
            elif param.role == OUT:
                if overlay is not None:
                    buffers[param.name] = buffers[overlay]
                else:
                    poison = np.full(np.dtype(param.dtype).itemsize * param.elements, _CANARY, np.uint8)
                    buffers[param.name] = Guarded(poison.view(param.dtype))
            else:
                struct = value.struct(keep) if param.role == ROWS else value
                keep.append(struct)
                pointers.append(ctypes.byref(struct))
                continue
            pointers.append(ctypes.c_void_p(buffers[param.name].address))
        before = {name: buffer.array.copy() for name, buffer in buffers.items()}
        counter = ctypes.c_uint64.in_dll(self._library, "tt_mac_count")
        counter.value = 0
        getattr(self._library, f"kernel_{tiling}")(*pointers)
        result = Result(macs=counter.value)
        for param in self.kernel.params:
            if param.name in buffers:
                buffers[param.name].check(f"{param.name} of {self.kernel.op} ({tiling})")
                if param.role in (OUT, INOUT):
                    result.written[param.name] = buffers[param.name].array.copy()
                elif param.name != overlay:
                    assert np.array_equal(buffers[param.name].array, before[param.name], equal_nan=True), param.name
        for guarded in keep:
            if isinstance(guarded, Guarded):
                guarded.check(f"rows of {self.kernel.op} ({tiling})")
        return result


def c_text(kernel: Kernel, name: str, tiling: Tiling) -> str:
    """C definitions of one kernel whose entry is called ``name``."""
    module = tvm.IRModule()
    module[tvm.ir.GlobalVar(name)] = declare(kernel)
    lowered = unpacked_api(Schedule(tiling)(module))
    functions = {gv.name_hint: function for gv, function in lowered.functions.items()}
    entry = functions.pop(name)
    helpers = [print_c(function, helper)[1] for helper, function in functions.items()]
    return "\n".join([*helpers, *print_c(entry, name, static=False)])


def compile_library(source: str, *flags: str) -> Path:
    """The shared library of a C text, linked to the device runtime; ``flags`` are added to those above."""
    runtime = _runtime()
    stem = runtime.parent / f"unit{next(_serial)}"
    stem.with_suffix(".c").write_text(source)
    return _compile(stem.with_suffix(".so"), stem.with_suffix(".c"), runtime, f"-Wl,-rpath,{runtime.parent}", *flags)


@functools.cache
def _runtime() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="tt-kernels-")
    _folders.append(folder)
    return _compile(Path(folder.name) / "libruntime.so", *sorted((OPS / "src").glob("*.c")))


def _compile(target: Path, *arguments: str | Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("not installed: a host C compiler")
    command = [compiler, *FLAGS, f"-I{OPS / 'include'}", *map(str, arguments), "-lm", "-o", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    sources = [Path(a).read_text() for a in arguments if str(a).endswith(".c")]
    assert (result.returncode, result.stderr) == (0, ""), "\n".join([result.stderr, *sources])
    return target


_folders: list[tempfile.TemporaryDirectory] = []  # kept until the process ends
