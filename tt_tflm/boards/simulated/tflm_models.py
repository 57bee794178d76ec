# SPDX-License-Identifier: Apache-2.0
"""The .tflite files of a build of the backend ``tflm`` in TFLM's interpreter, and the build's C sources linked to them.

The sources reach a model through ops/tflm/interpreter/tt_interpreter.h. In firmware an interpreter of theirs is behind
it, here ops/tflm/wheel/tt_wheel_interpreter.c, which is told where the tensors lie and calls back for a run.
"""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tflite

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.tflm_wheel import ArenaUse, TflmInterpreter
from tt_tflm.emit.tflm.session import model_array
from tt_tflm.errors import DeviceError, InputError
from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite.op_params import FISHER, TRAIN, Op

# Of machines with pointers of 64 bits, rounded up: what TFLM takes for each tensor while it plans, and the objects of
# an interpreter, of the resolver, and of each op in it.
_PLANNING_BYTES, _OBJECT_BYTES, _OP_BYTES = 128, 1024, 80
_ARENA_ALIGNMENT = 16
_RUN = ctypes.CFUNCTYPE(ctypes.c_int32)


class _Interpreter(ctypes.Structure):
    """``struct tt_interpreter`` of ops/tflm/wheel/tt_wheel_interpreter.h."""

    _fields_ = (
        ("inputs", ctypes.POINTER(ctypes.c_void_p)),
        ("input_bytes", ctypes.POINTER(ctypes.c_size_t)),
        ("outputs", ctypes.POINTER(ctypes.c_void_p)),
        ("input_count", ctypes.c_uint32),
        ("output_count", ctypes.c_uint32),
        ("arena_bytes", ctypes.c_size_t),
        ("run", _RUN),
    )


class TflmModel:
    """A model in TFLM's interpreter, its tensors called by name.

    Args:
        content: of the .tflite file.
        layout: names of its ``inputs`` and ``outputs``, in order.

    Attributes:
        arena: what it takes of TFLM's arena.
        tensors: its inputs by name, in order, as uint8 where TFLM keeps them; every state is one of them.
        error: what the latest run raised; None where it did what it was to do.
        losses: of its build, for `TflmInterpreter.invoke`.
    """

    def __init__(self, content: bytes, layout: Mapping[str, Sequence[str]]) -> None:
        self._interpreter = TflmInterpreter(content)
        self.arena = self._interpreter.arena
        self.error: BaseException | None = None
        self.losses: int | None = None
        inputs, self._outputs = self._interpreter.tensors()
        self.tensors = dict(zip(layout["inputs"], inputs, strict=True))

    def ints(self, name: str) -> np.ndarray:
        """An input of int32, as it is now and changes."""
        return self.tensors[name].view("<i4")

    def held(self, arena_bytes: int) -> _Interpreter:
        """The model as the C side takes it, which lives as long as the model is to be run.

        Args:
            arena_bytes: what all models of the build need of an arena.
        """
        inputs, outputs = list(self.tensors.values()), self._outputs
        places = [(ctypes.c_void_p * len(part))(*(t.ctypes.data for t in part)) for part in (inputs, outputs)]
        sizes = (ctypes.c_size_t * len(inputs))(*(tensor.size for tensor in inputs))
        return _Interpreter(places[0], sizes, places[1], len(inputs), len(outputs), arena_bytes, _RUN(self._run))

    def _run(self) -> int:
        """No exception gets through the C code that calls this: it is kept for whoever called that."""
        try:
            self._interpreter.invoke(self.losses)
        except BaseException as error:
            self.error = error
            return 0
        return 1


class TflmModels:
    """The models of a build.

    Args:
        layouts: file name -> its ``inputs`` and ``outputs``: ``tflm`` in simulation.json.
        contents: file name -> content.

    Attributes:
        arena_bytes: of an arena for all of them, see `firmware_arena_bytes`.

    Raises:
        ToolchainError: the tflite-micro wheel or a compiler is missing.
        InputError: TFLM refuses a model of the build, or the build lacks one.
    """

    def __init__(self, layouts: Mapping[str, Mapping[str, Sequence[str]]], contents: Mapping[str, bytes]) -> None:
        missing = [name for name in layouts if name not in contents]
        if missing:
            raise InputError(f"expected a build with {missing[0]}, received one without: convert again")
        self._models = {name: TflmModel(contents[name], layout) for name, layout in layouts.items()}
        arenas = {name: model.arena for name, model in self._models.items()}
        self.arena_bytes = firmware_arena_bytes(contents, arenas)
        self._held = {name: model.held(self.arena_bytes) for name, model in self._models.items()}

    def __getitem__(self, name: str) -> TflmModel:
        return self._models[name]

    def close(self) -> None:
        """Frees them: no library may run them any more."""
        self._held.clear()
        self._models.clear()

    def hold(self, library: ctypes.CDLL) -> None:
        """Names the models to the library of a build, which opens them in ``tt_init``."""
        models = [ctypes.pointer(self._held[name]) for name in (TRAIN, FISHER) if name in self._held]
        library.tt_build_losses.restype = ctypes.c_void_p
        for model in self._models.values():
            model.losses = library.tt_build_losses()
        library.tt_wheel_hold((ctypes.POINTER(_Interpreter) * len(models))(*models), len(models))

    def take_error(self) -> DeviceError | None:
        """Why TFLM refused a run since the last call; None where it refused none.

        Raises:
            BaseException: what ended a run that TFLM did not refuse, an interrupt for example.
        """
        errors = [model.error for model in self._models.values() if model.error is not None]
        for model in self._models.values():
            model.error = None
        for error in errors:
            if not isinstance(error, DeviceError):
                raise error
        return errors[0] if errors else None


def firmware_arena_bytes(models: Mapping[str, bytes], arenas: Mapping[str, ArenaUse]) -> int:
    """Bytes of an arena for every model of a build and the objects around them: what its ``tt_init`` is given."""
    contents = [tflite.Model.GetRootAsModel(models[name], 0) for name in arenas]
    # Models share what lasts for a run; the places of all tensors are worked out in the same memory.
    shared = max(arena.head for arena in arenas.values())
    planning = max(_PLANNING_BYTES * model.Subgraphs(0).TensorsLength() for model in contents)
    objects = _OBJECT_BYTES * (len(arenas) + 1) + _OP_BYTES * max(
        model.OperatorCodesLength() + len(Op) for model in contents
    )
    total = max(shared, planning) + sum(arena.tail for arena in arenas.values()) + objects
    return -(-total // _ARENA_ALIGNMENT) * _ARENA_ALIGNMENT


def files_for_wheel(files: SimulationFiles, arena_bytes: int) -> tuple[SimulationFiles, tuple[str, ...]]:
    """A build as it is compiled to run with the models of `TflmModels`: its C sources but for the kernels, which only
    the custom ops call, and the memory that they ask for.

    Args:
        files: the build.
        arena_bytes: of `TflmModels`.

    Returns:
        What to compile, and compiler flags.

    Raises:
        InputError: the build is of a version whose sources lacked the interface to an interpreter.
    """
    ops, folder = ops_path(), files.sim_dir.parent
    if "lists_bytes" not in files.description:
        raise InputError("expected a build with include/tt_model.h, received one without: convert again")
    kernels = {path.name for path in (ops / "kernels" / "src").glob("*.c")}
    listed = (folder / name for name in (folder / "sources.txt").read_text(encoding="utf-8").split())
    sources = [path for path in listed if path.suffix == ".c" and path.name not in kernels]
    wheel = ops / "tflm" / "wheel"
    compiled = dataclasses.replace(
        files,
        sources=(*sources, wheel / "tt_wheel_interpreter.c"),
        kernel_sources=(),
        include_dirs=(*files.include_dirs, folder / "tflm", wheel),
        description={
            **files.description,
            "arena_bytes": arena_bytes,
            "regions_bytes": files.description["lists_regions_bytes"],
        },
    )
    symbol = str(files.description["symbol"])
    return compiled, (
        f"-D{symbol.upper()}_ARENA_BYTES={arena_bytes}",
        f"-DTT_WHEEL_TRAIN={model_array(symbol, TRAIN)}",
        f"-DTT_WHEEL_FISHER={model_array(symbol, FISHER)}",
    )
