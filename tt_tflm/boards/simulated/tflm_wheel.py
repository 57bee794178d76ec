# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro on the host: the interpreter of the tflite-micro wheel, with the ops of ops/tflm in it.

The wheel holds no headers. The ops are compiled against a declaration of our own of the few C structures they touch
(ops/tflm/tt_tflm_interface.h), so exactly one version of the wheel is loaded: in later ones the structures differ,
and the ops would register and then crash.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.devices.cores import BASE_FLAGS, KERNEL_FLAGS
from tt_tflm.errors import DeviceError, InputError, ToolchainError
from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite.op_params import Flag, Op, pack
from tt_tflm.tflite.writer import TfliteWriter

WHEEL = "tflite-micro"
WHEEL_VERSION = "0.dev20260203175027"
DEFAULT_ARENA_BYTES = 64 << 20

_REGISTERER = "TtRegisterOps"
_SELF_CHECK = "tflite_micro.python.tflite_micro.postinstall_check"
_CPP_FLAGS = (
    "-std=c++17",
    *(flag for flag in BASE_FLAGS if not flag.startswith("-std")),
    "-fno-exceptions",
    "-fno-rtti",
)
_SHARED_FLAGS = ("-fPIC", "-fvisibility=hidden")
_LINK_FLAGS = ("-shared", "-Wl,-z,defs")
_ARENA_LINE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True)
class ArenaUse:
    """TFLM's own figures, in bytes.

    Args:
        total: what the model needs of the arena.
        head: tensors and scratch, which share memory as their lifetimes allow.
        tail: what lasts as long as the interpreter: variable tensors, structures of tensors and nodes.
    """

    total: int
    head: int
    tail: int


class TflmInterpreter:
    """One model in TFLM's interpreter.

    Args:
        model: content of a .tflite file, custom ops of ops/tflm included.
        arena_bytes: memory for it.

    Raises:
        InputError: TFLM, or an op in its Prepare, refused the model; the message is TFLM's.
        ToolchainError: the wheel is missing or of another version, or the ops do not compile.

    Example:
        >>> interpreter = TflmInterpreter(Path("train.tflite").read_bytes())
        >>> interpreter.set_input(0, x)
        >>> interpreter.invoke()
        >>> loss = interpreter.output(0)
    """

    def __init__(self, model: bytes, arena_bytes: int = DEFAULT_ARENA_BYTES) -> None:
        runtime = _loaded()
        self._model = model
        with _stderr() as messages:
            try:
                self._interpreter, self._context = _interpreter(runtime, model, arena_bytes)
            except (RuntimeError, ValueError) as error:
                raise InputError(f"TFLM refused the model: {_one_line(messages(), error)}") from None

    def set_input(self, index: int, value: np.ndarray) -> None:
        """Copy a value into an input.

        Raises:
            InputError: dtype or shape is not the tensor's.
        """
        try:
            self._interpreter.set_input(np.ascontiguousarray(value), index)
        except ValueError as error:
            raise InputError(f"TFLM refused input {index}: {error}") from None

    def input_shape(self, index: int) -> tuple[int, ...]:
        """Shape of an input."""
        return tuple(int(size) for size in self._interpreter.get_input_details(index)["shape"])

    def invoke(self, losses: int | None = None) -> None:
        """Run the model once.

        Args:
            losses: address of those of its build that have no op of their own (ops/tflm/tt_build_losses.h).

        Raises:
            DeviceError: an op refused to run; the message is its own.
        """
        _ops().TtUseLosses(ctypes.c_void_p(losses))
        with _stderr() as messages:
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise DeviceError(f"TFLM: {_one_line(messages(), error)}") from None

    def reset(self) -> None:
        """Set every variable tensor to zero."""
        self._interpreter.reset()

    def tensors(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Inputs and outputs where TFLM keeps them: arrays of uint8 that see every change and make it. A run overwrites
        those that are no state; none may be used when the interpreter is gone.

        Raises:
            InputError: the model has no op of ops/tflm, or an input or output that is neither float32 nor int32.
        """
        if self._context is None:
            raise InputError("expected a model with an op of tt-tflm, received one without: read copies of its outputs")
        graph = tflite.Model.GetRootAsModel(self._model, 0).Subgraphs(0)
        numbers = (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
        inputs, outputs = ([_tensor(self._context, int(number)) for number in part] for part in numbers)
        return inputs, outputs

    def output(self, index: int) -> np.ndarray:
        """A copy of an output."""
        return self._interpreter.get_output(index)

    @property
    def arena(self) -> ArenaUse:
        """What the model takes of the arena."""
        with _stderr() as messages:
            self._interpreter.print_allocations()
            found = dict(_ARENA_LINE.findall(messages()))
        return ArenaUse(*(int(found[part]) for part in ("total", "head", "tail")))


def check_wheel() -> None:
    """Refuse any wheel but the pinned one.

    Raises:
        ToolchainError: it is not installed, or another version is.
    """
    try:
        installed = importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != WHEEL_VERSION:
        raise ToolchainError(
            f"expected {WHEEL} {WHEEL_VERSION} to simulate TFLM, received {installed}: "
            f"pip install {WHEEL}=={WHEEL_VERSION}"
        )


def build_ops() -> Path:
    """The ops as a shared library for the wheel, out of the user's cache if the sources have not changed.

    Raises:
        ToolchainError: there is no compiler, or it failed.
    """
    compiler = find_compiler(get_profile("host"))
    units, includes = _units()
    digest = hashlib.sha256(f"{compiler} {_stamp(compiler)} {_LINK_FLAGS}".encode())
    for path in sorted({unit.source for unit in units} | {h for folder in includes for h in folder.glob("*.h")}):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    for unit in units:
        digest.update(repr(unit.flags).encode())
    target = _cache_folder() / f"tflm-ops-{digest.hexdigest()[:32]}.so"
    if target.exists():
        return target
    library = build_program(compiler, units, includes, _LINK_FLAGS, label="compiling the TFLM ops")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=target.parent)
        os.close(handle)
        shutil.copy(library, unfinished)
        os.replace(unfinished, target)
    except OSError:
        return library
    return target


def _units() -> tuple[list[CompileUnit], tuple[Path, ...]]:
    ops = ops_path()
    base, kernel, cpp = (flags + _SHARED_FLAGS for flags in (BASE_FLAGS, KERNEL_FLAGS, _CPP_FLAGS))
    units = [
        *(CompileUnit(path, base) for path in sorted((ops / "src").glob("*.c"))),
        *(CompileUnit(path, kernel) for path in sorted((ops / "kernels/src").glob("*.c"))),
        *(CompileUnit(path, cpp) for folder in ("tflm", "tflm/wheel") for path in sorted((ops / folder).glob("*.cc"))),
    ]
    return units, (ops / "include", ops / "kernels/include", ops / "kernels/src", ops / "tflm")


def _stamp(compiler: str) -> str:
    """What changes when the compiler is replaced by another version."""
    status = os.stat(os.path.realpath(compiler))
    return f"{status.st_size} {status.st_mtime_ns}"


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "tt-tflm"


@functools.cache
def _loaded() -> Any:
    """The wheel's runtime module, with the ops where it looks for them. Loaded once in a process."""
    check_wheel()
    # What the wheel imports to check itself after its installation needs pkg_resources, which setuptools has given up.
    sys.modules.setdefault(_SELF_CHECK, types.ModuleType(_SELF_CHECK))
    from tflite_micro import runtime

    _ops()
    _check_layout(runtime)
    return runtime


@functools.cache
def _ops() -> ctypes.CDLL:
    """The ops, where the wheel looks for them by name."""
    library = ctypes.CDLL(str(build_ops()), mode=ctypes.RTLD_GLOBAL)
    library.TtTakeContext.restype = ctypes.c_void_p
    library.TtTensor.restype = ctypes.c_void_p
    return library


def _interpreter(runtime: Any, model: bytes, arena_bytes: int) -> tuple[Any, int | None]:
    """An interpreter, and the address of its context; None where the model has no op of ours."""
    _ops().TtTakeContext()
    # The wheel prints to standard output how many resource variables it has found.
    with contextlib.redirect_stdout(io.StringIO()):
        made = runtime.Interpreter.from_bytes(model, custom_op_registerers=[_REGISTERER], arena_size=arena_bytes)
    return made, _ops().TtTakeContext()


def _tensor(context: int, number: int) -> np.ndarray:
    size = ctypes.c_size_t()
    address = _ops().TtTensor(ctypes.c_void_p(context), number, ctypes.byref(size))
    if address is None:
        raise InputError(f"expected inputs and outputs of float32 or int32, received another type in tensor {number}")
    return np.ctypeslib.as_array((ctypes.c_uint8 * size.value).from_address(address))


def _check_layout(runtime: Any) -> None:
    """Run one op and compare: parameters, tensors and their sizes must arrive where the ops look for them."""
    writer = TfliteWriter()
    x, y = (writer.add_tensor(name, (5,), "float32") for name in "xy")
    writer.add_custom(Op.CLIP.tflite_name, [x], [y], pack(Op.CLIP, Flag.LOW | Flag.HIGH, low=-1.0, high=2.0))
    interpreter, context = _interpreter(runtime, writer.finish([x], [y]), 1 << 16)
    values = np.array([-3, -1, 0.5, 2, 7], np.float32)
    interpreter.set_input(values, 0)
    interpreter.invoke()
    received = interpreter.get_output(0)
    if context is not None and np.array_equal(received, values.clip(-1, 2)):
        received = _tensor(context, y).view(np.float32)
    if context is None or not np.array_equal(received, values.clip(-1, 2)):
        raise ToolchainError(
            f"expected {WHEEL} {WHEEL_VERSION} to lay out its structures as the ops do, received {received.tolist()} "
            f"from a test op: install the wheel again"
        )


@contextlib.contextmanager
def _stderr() -> Iterator:
    """Collect what C code writes to standard error; yields a function that returns it so far.

    What nobody has asked for goes to standard error in the end.
    """
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        seen = 0

        def messages() -> str:
            nonlocal seen
            file.seek(0)
            content = file.read()
            seen = len(content)
            return content.decode(errors="replace")

        try:
            yield messages
        finally:
            os.dup2(saved, 2)
            file.seek(seen)
            rest = file.read()
            if rest:
                os.write(saved, rest)
            os.close(saved)


def _one_line(messages: str, error: Exception) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    return "; ".join(lines) if lines else str(error)
