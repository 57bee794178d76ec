# SPDX-License-Identifier: Apache-2.0
"""The kernels of ops/kernels as a shared library, and how the trials of the passes' kernels are run with them."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from passes.compiled import Guarded, Rows, RowsStruct
from passes.trials import Trial

from tt_tflm.tflite.op_params import WINDOW_FIELDS
from tvm_passes.kernel import INOUT, OUT, Kernel

OPS = Path(__file__).parents[3] / "ops"
SOURCES = sorted((OPS / "kernels/src").glob("tt_*.c"))
INCLUDES = (f"-I{OPS / 'include'}", f"-I{OPS / 'kernels/include'}")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
WEIGHTS, BIAS, ACCUMULATE = 1, 2, 4  # TT_GRADIENT_*
FLT_MAX = float(np.finfo(np.float32).max)
_SCRATCH = tempfile.TemporaryDirectory(prefix="tt-kernels-")


class WindowStruct(ctypes.Structure):
    """``tt_window_t``."""

    _fields_ = [(name, ctypes.c_int32) for name in WINDOW_FIELDS]


@functools.cache
def library() -> ctypes.CDLL:
    """All kernels; without -ffast-math, so that a NaN that is read by mistake stays one."""
    path = Path(_SCRATCH.name) / "kernels.so"
    subprocess.run(["gcc", *WARNINGS, "-O1", "-fPIC", "-shared", *INCLUDES, *SOURCES, "-lm", "-o", path], check=True)
    loaded = ctypes.CDLL(str(path))
    loaded.tt_depthwise_packed_bytes.restype = ctypes.c_uint32
    return loaded


def c_window(attrs: Mapping[str, int]) -> WindowStruct:
    """The window that a kernel's attributes describe."""
    return WindowStruct(*(int(attrs[name]) for name in WINDOW_FIELDS))


class Call:
    """The buffers of one call, guarded, and what it wrote."""

    def __init__(self, trial: Trial, overlay: str | None = None) -> None:
        self.kernel: Kernel = trial.kernel
        self.attrs = trial.kernel.attrs
        self.rows: Rows | None = None
        self._keep: list[object] = []
        self.buffers: dict[str, Guarded] = {}
        for p in trial.kernel.params:
            value = trial.arguments.get(p.name)
            if isinstance(value, Rows):
                self.rows = value
            elif p.role == OUT:
                expected = np.asarray(trial.expected[p.name])
                dtype = expected.dtype if expected.dtype.kind in "iu" else np.float32
                fresh = np.full(expected.size * np.dtype(dtype).itemsize, 0xFF, np.uint8).view(dtype)
                self.buffers[p.name] = self.buffers[overlay] if overlay else Guarded(fresh)
            else:
                self.buffers[p.name] = Guarded(np.asarray(value))

    def __getitem__(self, name: str) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.buffers[name].address)

    def array(self, name: str) -> np.ndarray:
        return self.buffers[name].array

    def count(self, name: str) -> ctypes.c_uint32:
        return ctypes.c_uint32(self.kernel.param(name).elements)

    def window(self) -> WindowStruct:
        window = c_window(self.attrs)
        check = "tt_window_check_depthwise" if self.kernel.op.startswith("depthwise") else "tt_window_check"
        assert getattr(library(), check)(ctypes.byref(window)) == 0
        return window

    def c_rows(self) -> RowsStruct:
        assert self.rows is not None
        return self.rows.struct(self._keep)

    def frozen(self) -> tuple[RowsStruct, ctypes.c_void_p]:
        """The same weights as the filter of a .tflite file, [O][kh][kw][C], and the biases beside it."""
        assert self.rows is not None
        length = self.rows.row_length
        base, bias = Guarded(self.rows.values[:, :length]), Guarded(self.rows.values[:, length])
        self._keep += [base, bias]
        return RowsStruct(base.address, None, None, None, length, 0), ctypes.c_void_p(bias.address)

    def packed(self, window: WindowStruct) -> ctypes.c_void_p:
        """The rows as the depthwise kernels read them, in scratch of exactly the size."""
        size = library().tt_depthwise_packed_bytes(ctypes.byref(window))
        scratch = Guarded(np.full(size // 4, np.nan, np.float32))
        rows = self.c_rows()
        pack = library().tt_depthwise_pack_rows
        address = ctypes.c_void_p(scratch.address)
        assert pack(ctypes.byref(window), ctypes.byref(rows), address, ctypes.c_uint32(size - 1)) != 0
        assert np.isnan(scratch.array).all()
        assert pack(ctypes.byref(window), ctypes.byref(rows), address, ctypes.c_uint32(size)) == 0
        scratch.check("packed")
        self._keep.append(scratch)
        return address

    def keep(self, value: object) -> None:
        self._keep.append(value)

    def written(self) -> dict[str, np.ndarray]:
        for name, buffer in self.buffers.items():
            buffer.check(f"{name} of {self.kernel.op}")
        return {p.name: self.array(p.name) for p in self.kernel.params if p.role in (OUT, INOUT)}


Written = dict[str, np.ndarray]


def function_of(op: str) -> str:
    """The function of an op: named after it, but for one whose name is that of a call of tt_model.h."""
    return "tt_add_to" if op == "accumulate" else f"tt_{op}"


def results(trial: Trial) -> list[tuple[str, Written]]:
    """What the kernels write for a trial: every way to call them, each with its name."""
    runs = _RUNS.get(trial.kernel.op, (_plain,))
    found = []
    for run in runs:
        for overlay in (None, *trial.kernel.overlay):
            call = Call(trial, overlay)
            run(call)
            where = f"{trial.kernel.op}, {run.__name__}" + (f" over {overlay}" if overlay else "")
            found.append((where, call.written()))
    return found


def _bounds(attrs: Mapping[str, float]) -> tuple[ctypes.c_float, ctypes.c_float]:
    return ctypes.c_float(attrs.get("low", -FLT_MAX)), ctypes.c_float(attrs.get("high", FLT_MAX))


def _plain(call: Call) -> None:
    """Inputs, sizes and constants, output."""
    op, attrs = call.kernel.op, call.attrs
    *inputs, out = (p.name for p in call.kernel.params)
    sizes: list[object] = [call.count(inputs[0])]
    if op in ("multiply_channel", "affine", "channel_dot"):
        channels = call.kernel.params[1 if op != "channel_dot" else 2].elements
        sizes = [ctypes.c_uint32(call.kernel.params[0].elements // channels), ctypes.c_uint32(channels)]
    elif op == "softmax_grad":
        sizes = [ctypes.c_uint32(call.kernel.params[0].elements // attrs["classes"]), ctypes.c_uint32(attrs["classes"])]
    elif op in ("clip", "clip_grad", "clip_mask"):
        sizes += _bounds(attrs)
    elif op == "leaky_relu_grad":
        sizes.append(ctypes.c_float(attrs["alpha"]))
    getattr(library(), function_of(op))(*(call[name] for name in inputs), *sizes, call[out])


def _moved(call: Call) -> None:
    """Kernels with a window and no weights."""
    window = c_window(call.attrs)
    check = "tt_window_check_pool" if "pool" in call.kernel.op else "tt_window_check_pad"
    assert getattr(library(), check)(ctypes.byref(window)) == 0
    getattr(library(), f"tt_{call.kernel.op}")(ctypes.byref(window), *(call[p.name] for p in call.kernel.params))


def _slice(call: Call) -> None:
    outer, offset = call.attrs["outer"], call.attrs["offset"]
    total, length = (p.elements // outer for p in call.kernel.params)
    library().tt_slice(call["x"], *map(ctypes.c_uint32, (outer, total, offset, length)), call["y"])


def _conv2d(call: Call) -> None:
    window, rows = call.window(), call.c_rows()
    library().tt_conv2d(ctypes.byref(window), call["x"], ctypes.byref(rows), None, *_bounds(call.attrs), call["y"])


def _conv2d_frozen(call: Call) -> None:
    window, (rows, bias) = call.window(), call.frozen()
    library().tt_conv2d(ctypes.byref(window), call["x"], ctypes.byref(rows), bias, *_bounds(call.attrs), call["y"])


def _accumulates(call: Call, name: str) -> bool:
    return call.kernel.param(name).role == INOUT


def _conv2d_grad_input(call: Call) -> None:
    window, rows = call.window(), call.c_rows()
    accumulate = ctypes.c_bool(_accumulates(call, "dx"))
    library().tt_conv2d_grad_input(ctypes.byref(window), call["g"], ctypes.byref(rows), accumulate, call["dx"])


def _conv2d_grad_input_frozen(call: Call) -> None:
    window, (rows, _) = call.window(), call.frozen()
    accumulate = ctypes.c_bool(_accumulates(call, "dx"))
    library().tt_conv2d_grad_input(ctypes.byref(window), call["g"], ctypes.byref(rows), accumulate, call["dx"])


def _grad_weights(call: Call) -> None:
    window, rows = call.window(), call.c_rows()
    parts = WEIGHTS * call.attrs["weights"] + BIAS * call.attrs["bias"] + ACCUMULATE * _accumulates(call, "d")
    x = call["x"] if call.attrs["weights"] else None
    d = call.array("d")
    rest = d[rows.trained * rows.stride :]
    if not _accumulates(call, "d"):
        rest[:] = 0.0  # room that no chosen channel takes is not the kernel's
    kept = rest.copy()
    scale = ctypes.c_float(float(call.array("scale")[0]))
    kernel = getattr(library(), f"tt_{call.kernel.op}")
    kernel(ctypes.byref(window), x, call["g"], ctypes.byref(rows), scale, ctypes.c_uint32(parts), call["d"])
    assert np.array_equal(rest, kept)


def _depthwise(call: Call) -> None:
    window = call.window()
    packed = call.packed(window)
    library().tt_depthwise_conv2d(ctypes.byref(window), call["x"], packed, None, *_bounds(call.attrs), call["y"])


def _depthwise_frozen(call: Call) -> None:
    """The filter [kh][kw][C] of a .tflite file, the biases beside it."""
    window = call.window()
    assert call.rows is not None
    values, length = call.rows.values, call.rows.row_length
    packed, bias = Guarded(np.ascontiguousarray(values[:, :length].T)), Guarded(values[:, length])
    call.keep((packed, bias))
    weights, biases = ctypes.c_void_p(packed.address), ctypes.c_void_p(bias.address)
    library().tt_depthwise_conv2d(ctypes.byref(window), call["x"], weights, biases, *_bounds(call.attrs), call["y"])


def _depthwise_grad_input(call: Call) -> None:
    window = call.window()
    packed = call.packed(window)
    accumulate = ctypes.c_bool(_accumulates(call, "dx"))
    library().tt_depthwise_conv2d_grad_input(ctypes.byref(window), call["g"], packed, accumulate, call["dx"])


_RUNS: dict[str, tuple[Callable[[Call], None], ...]] = {
    "conv2d": (_conv2d, _conv2d_frozen),
    "conv2d_grad_input": (_conv2d_grad_input, _conv2d_grad_input_frozen),
    "conv2d_grad_weights": (_grad_weights,),
    "depthwise_conv2d": (_depthwise, _depthwise_frozen),
    "depthwise_conv2d_grad_input": (_depthwise_grad_input,),
    "depthwise_conv2d_grad_weights": (_grad_weights,),
    "slice": (_slice,),
    **dict.fromkeys(("pad2d", "crop2d", "avg_pool_grad", "max_pool_grad"), (_moved,)),
}
