# SPDX-License-Identifier: Apache-2.0
"""Emulated boards: one ELF per build and core, run by QEMU with exact instruction counts."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.protocol import REPLY, REQUEST, WANTS_SAMPLE, Reply, Request
from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler, find_emulator
from tt_tflm.devices import DeviceProfile, EmulatedBoard, Emulator, get_profile
from tt_tflm.errors import DeviceError, InputError

SERVER_SOURCES = ("tt_sim_server.c", "tt_sim_clock.c", "tt_sim_stack.c", "tt_sim_task.c", "tt_sim_state.c")

_SECTION_FLAGS = ("-ffunction-sections", "-fdata-sections")
_POLL_MS = 100


def build_elf(
    files: SimulationFiles,
    device: str,
    sources: Sequence[Path] | None = None,
    include_dirs: Sequence[Path] = (),
    defines: Sequence[str] = (),
) -> Path:
    """Compiles a build and a program around it to an ELF for an emulated board.

    Args:
        files: the build.
        device: name of a target.
        sources: of the program, but for what every program on an emulated core has; None for the simulation server.
        include_dirs: more folders of headers.
        defines: more compiler flags of those sources.

    Raises:
        InputError: there is no such target, or it is the host.
        ToolchainError: the cross compiler is missing or failed.
    """
    program = list(sources or ())
    if sources is None:
        _, _, emulator = _emulated(device)
        program = [files.sim_dir / name for name in (*SERVER_SOURCES, *emulator.timing)]
    folders = (*files.include_dirs, *include_dirs)
    return build_board_program(
        device, [*program, *files.sources], files.kernel_sources, folders, files.sim_dir, defines
    )


def build_board_program(
    device: str,
    sources: Sequence[Path],
    kernel_sources: Sequence[Path],
    include_dirs: Sequence[Path],
    sim_dir: Path,
    defines: Sequence[str] = (),
) -> Path:
    """Compiles a program for an emulated board; its `main` is called after reset.

    Args:
        device: name of a target with an emulated board.
        sources: everything that is not a kernel, but for start-up and semihosting, which are the architecture's.
        kernel_sources: compiled with the flags of kernels.
        include_dirs: searched before sim_dir.
        sim_dir: ops/sim.
        defines: macros for the sources, as -D flags.

    Raises: as build_elf.
    """
    profile, board, emulator = _emulated(device)
    kernel = profile.compile_flags(kernel=True) + _SECTION_FLAGS
    own = (
        *profile.compile_flags(kernel=False),
        *_SECTION_FLAGS,
        *(f"-D{name}={value}" for name, value in _board_macros(board).items()),
        *defines,
    )
    script = sim_dir / emulator.linker_script
    startup = [sim_dir / name for name in emulator.startup]
    units = [
        *(CompileUnit(path, own) for path in (*sources, *startup)),
        *(CompileUnit(path, kernel) for path in kernel_sources),
    ]
    symbols = ",".join(f"--defsym={name}={value:#x}" for name, value in _memory_symbols(board).items())
    return build_program(
        find_compiler(profile),
        units,
        (*include_dirs, sim_dir),
        (*profile.cpu_flags, "-nostartfiles", "-Wl,--gc-sections", f"-Wl,{symbols}", "-T", str(script)),
        link_inputs=(script,),
        label=f"compiling for {device}",
    )


def emulator_command(
    device: str,
    elf: Path,
    *,
    serial: Sequence[str] = ("-serial", "none"),
    counted: bool = True,
) -> list[str]:
    """The command that runs a program.

    Args:
        device: name of a target with an emulated board.
        elf: the program.
        serial: QEMU's options of the first serial line.
        counted: whether an instruction takes a nanosecond; otherwise as long as it takes.

    Raises:
        InputError: there is no such target, or it is not emulated.
        ToolchainError: the emulator is missing.
    """
    profile, board, emulator = _emulated(device)
    return [
        find_emulator(profile),
        *("-M", board.machine),
        *("-display", "none", "-monitor", "none"),
        *serial,
        *emulator.options,
        *(("-icount", "shift=0") if counted else ()),
        *("-kernel", str(elf)),
    ]


def _emulated(device: str) -> tuple[DeviceProfile, EmulatedBoard, Emulator]:
    profile = get_profile(device)
    if profile.board is None or profile.emulator is None:
        raise InputError(f"expected a target that is emulated, received {device!r}")
    return profile, profile.board, profile.emulator


def _board_macros(board: EmulatedBoard) -> dict[str, str]:
    timer = board.timer
    # Without suffix: the assembler reads them, too.
    return {
        "TT_SIM_TIMER_CONTROL": f"{timer.control:#x}",
        "TT_SIM_TIMER_COUNT": f"{timer.count:#x}",
        "TT_SIM_TIMER_COUNTS_DOWN": str(int(timer.counts_down)),
        "TT_SIM_TICK_NUMERATOR": str(timer.tick_numerator),
        "TT_SIM_TICK_DENOMINATOR": str(timer.tick_denominator),
        "TT_SIM_UART": f"{board.uart:#x}",
    }


def _memory_symbols(board: EmulatedBoard) -> dict[str, int]:
    return {
        "tt_sim_vectors_origin": board.vectors,
        "tt_sim_code_origin": board.code.origin,
        "tt_sim_code_length": board.code.length,
        "tt_sim_data_origin": board.data.origin,
        "tt_sim_data_length": board.data.length,
    }


class QemuBoard(AdaptiveBoard):
    """A build on an emulated core.

    Args:
        files: the build.
        device: name of a target with an emulated board.
        timeout_s: longest wait for one answer before the emulator counts as hung, in seconds.

    Raises:
        InputError: there is no such target, or simulation.json belongs to another build.
        ToolchainError: cross compiler or emulator is missing, or the compiler failed.
        DeviceError: the emulator did not start.
    """

    def __init__(self, files: SimulationFiles, device: str, *, timeout_s: float = 300.0) -> None:
        super().__init__(files, device)
        find_emulator(_emulated(device)[0])  # before the longer part
        command = emulator_command(device, build_elf(files, device))
        self._timeout_s = timeout_s
        self._emulator = _Emulator(command)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._emulator.close()

    def _exchange(self, request: Request) -> Reply:
        if self._emulator.closed:
            raise DeviceError("expected an open board, received one that is closed: simulate the build again")
        deadline = time.monotonic() + self._timeout_s
        message, x = request.message, request.x
        header = REQUEST.pack(request.command, len(message) or request.argument)
        try:
            self._emulator.send(header + message + (b"" if x is None else _bytes(x)), deadline)
            status, low, high, stack, size = REPLY.unpack(self._emulator.receive(REPLY.size, deadline))
            while status == WANTS_SAMPLE:
                deadline = time.monotonic() + self._timeout_s
                self._emulator.send(_bytes(request.samples[low]), deadline)
                status, low, high, stack, size = REPLY.unpack(self._emulator.receive(REPLY.size, deadline))
            payload = self._emulator.receive(size, deadline)
        except _Stopped as stopped:
            words = f"{request.command.name.lower()} on {self.device}: {stopped.reason}{self._emulator.last_words()}"
            self.close()
            raise DeviceError(words) from None
        except BaseException:
            # An interrupted exchange leaves half a request or reply in the pipes.
            self.close()
            raise
        return Reply(status, low | high << 32, payload, stack)


def _bytes(x: np.ndarray) -> bytes:
    return x.astype("<f4", copy=False).tobytes()


class _Stopped(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Emulator:
    """A QEMU process and the FIFOs to the program in it; all of it ends with close or with the object."""

    def __init__(self, command: Sequence[str]) -> None:
        resources = contextlib.ExitStack()
        self._end = weakref.finalize(self, resources.close)
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="tt-tflm-qemu-")))
        self._errors = folder / "errors"
        # Open for both directions, so that neither side waits for the other to open: the emulator's death is seen
        # by its process, not by an end of file.
        self._requests = _open_fifo(folder / "requests", resources)
        self._replies = _open_fifo(folder / "replies", resources)
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
        resources.callback(_kill, self._process)
        # It aborts when a core locks up; its memory image would be gigabytes.
        with contextlib.suppress(OSError):
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))

    @property
    def closed(self) -> bool:
        return not self._end.alive

    def close(self) -> None:
        self._end()

    def send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._requests, select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(self._requests, rest) :]

    def receive(self, size: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            self._wait(self._replies, select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                received += os.read(self._replies, size - len(received))
        return bytes(received)

    def last_words(self) -> str:
        """What the emulator or the program in it wrote about its end, as the tail of a message."""
        with contextlib.suppress(OSError):
            lines = self._errors.read_text(errors="replace").strip().splitlines()
            # Before its end QEMU dumps the registers: the line that says why comes first.
            telling = [line for line in lines if "fault" in line or "fatal" in line] or lines[-1:]
            if telling:
                return f": {telling[0].strip()}"
        return ""

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while True:
            ready = bool(poll.poll(_POLL_MS))
            # What was answered before the end is still read; a request to an emulator that is gone is not sent.
            if ready and event == select.POLLIN:
                return
            status = self._process.poll()
            if status is not None:
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise _Stopped(f"the emulator stopped ({how})")
            if ready:
                return
            if time.monotonic() > deadline:
                raise _Stopped("the emulator did not answer in time and was ended")


def _open_fifo(path: Path, resources: contextlib.ExitStack) -> int:
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    resources.callback(os.close, descriptor)
    return descriptor


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
