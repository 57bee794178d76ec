# SPDX-License-Identifier: Apache-2.0
"""The host board: the build's sources as a shared library in this process."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.protocol import Command, Description, Reply, Request, Status
from tt_tflm.boards.simulated.task import TASK_BYTES
from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.errors import DeviceError

SIM_SOURCES = ("tt_sim_host.c", "tt_sim_macs.c", "tt_sim_task.c", "tt_sim_state.c")
_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)

# Calls between the library's functions stay inside it, whatever else in the process has the same names.
_SHARED_FLAGS = ("-fPIC", "-fno-semantic-interposition")
_LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs")
_ALIGNMENT = 64


def build_library(
    files: SimulationFiles,
    defines: tuple[str, ...] = (),
    own: Sequence[Path] | None = None,
    include_dirs: Sequence[Path] = (),
) -> Path:
    """Compiles a build to a shared library for this machine.

    Args:
        files: the build.
        defines: more compiler flags, for instrumented builds.
        own: sources around it; None for those of the host board.
        include_dirs: folders of headers that these take beside the build's.

    Raises:
        ToolchainError: there is no compiler, or it failed.
    """
    if own is None:
        own = [files.sim_dir / name for name in SIM_SOURCES]
    profile = get_profile("host")
    base = profile.compile_flags(kernel=False) + _SHARED_FLAGS + defines
    kernel = profile.compile_flags(kernel=True) + _SHARED_FLAGS + defines
    units = [
        *(CompileUnit(path, base) for path in own),
        *(CompileUnit(path, base) for path in files.sources),
        *(CompileUnit(path, kernel) for path in files.kernel_sources),
    ]
    return build_program(
        find_compiler(profile),
        units,
        (*files.include_dirs, files.sim_dir, *include_dirs),
        _LINK_FLAGS,
        label="compiling for the host",
    )


class HostBoard(AdaptiveBoard):
    """A build in the Python process.

    Args:
        files: the build.
        defines: more compiler flags, for instrumented builds.
        device: name of the board.

    Raises:
        ToolchainError: there is no C compiler, or it failed.
        InputError: simulation.json belongs to another build.
    """

    def __init__(self, files: SimulationFiles, defines: tuple[str, ...] = (), *, device: str = "host") -> None:
        super().__init__(files, device)
        self._library: ctypes.CDLL | None = self._load(defines)
        described = self._describe()
        self._session = _aligned(described.session_bytes)
        self._arena = _aligned(int(files.description["arena_bytes"]))
        self._row_pool = _aligned(described.row_pool_bytes)
        self._x = _aligned(4 * int(np.prod(self._input_shape)))
        outputs = max(self._classes, int(files.description.get("embedding_elements") or 0))
        self._output = _aligned(4 * outputs)
        self._storage = _aligned(self._library.tt_sim_storage_bytes())
        self._begin()

    def close(self) -> None:
        self._library = None

    def _load(self, defines: tuple[str, ...]) -> ctypes.CDLL:
        """The build, compiled and ready for ``tt_init``."""
        return ctypes.CDLL(str(build_library(self._files, defines)))

    def _exchange(self, request: Request) -> Reply:
        command, message = request.command, request.message
        if self._library is None:
            raise DeviceError("expected an open board, received one that is closed: simulate the build again")
        if request.x is not None:
            self._x[:] = request.x.reshape(-1).view(np.uint8)
        if command is Command.DESCRIBE:
            return Reply(Status.OK, payload=self._described())
        if command is Command.READ_ROW_POOL:
            return Reply(Status.OK, payload=self._read_row_pool())
        if command is Command.ADAPT:
            return self._adapt(self._library, message, request.samples)
        if command is Command.SAVE:
            return self._save(self._library)
        if command is Command.LOAD:
            storage = self._storage_of(message)
            return Reply(self._library.tt_sim_load(_address(self._session), _address(storage)))
        if command in (Command.SELECT, Command.CHOOSE):
            function = {Command.SELECT: "tt_sim_select", Command.CHOOSE: "tt_sim_choose"}[command]
            words = _copied(message)
            return Reply(getattr(self._library, function)(_address(self._session), _address(words)))
        status = self._run(self._library, command, request.argument, message)
        payload = self._output[: 4 * self._output_elements(command)].tobytes() if status == Status.OK else b""
        return Reply(status, payload=payload)

    def _read_row_pool(self) -> bytes:
        return self._row_pool[: int(self._files.description["regions_bytes"])].tobytes()

    def _run(self, library: ctypes.CDLL, command: Command, argument: int, target: bytes) -> int:
        session, x, output = _address(self._session), _address(self._x), _address(self._output)
        vector = _copied(target)
        label, to = (_address(vector), "_to") if target else (ctypes.c_uint32(argument), "")
        if command is Command.INIT:
            return library.tt_sim_init(
                session,
                _address(self._arena),
                ctypes.c_size_t(self._arena.size),
                _address(self._row_pool),
                ctypes.c_size_t(self._row_pool.size),
            )
        if command is Command.PREDICT:
            return library.tt_predict(session, x, output)
        if command is Command.TRAIN_STEP:
            return getattr(library, f"tt_train_step{to}")(session, x, label, output)
        if command is Command.ENROLL:
            return library.tt_enroll(session, x, label)
        if command is Command.EMBEDDING:
            return library.tt_embedding(session, x, output)
        if command is Command.FISHER_ACCUMULATE:
            return getattr(library, f"tt_fisher_accumulate{to}")(session, x, label)
        if command is Command.FISHER_CLEAR:
            return library.tt_fisher_clear(session)
        if command is Command.RESET:
            return library.tt_reset(session)
        if command is Command.FORGET_PROTOTYPES:
            return library.tt_forget_prototypes(session)
        if command is Command.SET_LEARNING_RATE:
            (rate,) = struct.unpack("<f", struct.pack("<I", argument))
            return library.tt_set_learning_rate(session, ctypes.c_float(rate))
        return Status.INVALID_ARGUMENT

    def _adapt(self, library: ctypes.CDLL, message: bytes, samples: Sequence[np.ndarray]) -> Reply:
        def sample(_context: int | None, index: int) -> int:
            self._x[:] = samples[index].reshape(-1).view(np.uint8)
            return self._x.ctypes.data

        request = _copied(message)
        iterations = int(request[4:8].view("<u4")[0])
        losses = _aligned(4 * max(iterations, 1))
        elements = int(self._files.description["embedding_elements"])
        floats = 2 * len(samples) * (elements + 1) + self._classes * (elements + 2) + elements + self._x.size // 4
        workspace = _aligned(4 * floats)
        status = library.tt_sim_adapt(
            _address(self._session),
            _address(request),
            ctypes.c_void_p(request.ctypes.data + TASK_BYTES),
            _SAMPLE(sample),
            None,
            _address(workspace),
            ctypes.c_size_t(workspace.size),
            _address(losses),
        )
        return Reply(status, payload=losses[: 4 * iterations].tobytes() if status == Status.OK else b"")

    def _save(self, library: ctypes.CDLL) -> Reply:
        place = _aligned(8)
        start = place.ctypes.data
        status = library.tt_sim_save(
            _address(self._session), _address(self._storage), ctypes.c_void_p(start), ctypes.c_void_p(start + 4)
        )
        offset, size = (int(value) for value in place.view("<u4"))
        return Reply(status, payload=self._storage[offset : offset + size].tobytes() if status == Status.OK else b"")

    def _storage_of(self, state: bytes) -> np.ndarray:
        """A storage that holds a state, apart from what was saved; without one, what was saved."""
        if not state:
            return self._storage
        storage = _aligned(self._storage.size)
        storage[: len(state)] = np.frombuffer(state, np.uint8)
        return storage

    def _output_elements(self, command: Command) -> int:
        if command is Command.PREDICT:
            return self._classes
        if command is Command.EMBEDDING:
            return int(self._files.description["embedding_elements"])
        return 1 if command is Command.TRAIN_STEP else 0

    def _described(self) -> bytes:
        buffer = ctypes.create_string_buffer(Description.FORMAT.size)
        self._library.tt_sim_describe(buffer)
        return buffer.raw

    def _describe(self) -> Description:
        return Description.unpack(self._described())


def _aligned(size: int) -> np.ndarray:
    """Zeroed bytes on a boundary that suits a generated build and the host's vector instructions."""
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]


def _copied(message: bytes) -> np.ndarray:
    memory = _aligned(len(message))
    memory[:] = np.frombuffer(message, np.uint8)
    return memory


def _address(memory: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(memory.ctypes.data)
