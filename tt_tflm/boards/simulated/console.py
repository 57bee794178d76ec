# SPDX-License-Identifier: Apache-2.0
"""Boards with a console at a pseudo-terminal, on this machine or emulated: what ``tt_tflm.Board`` drives without
hardware."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import tty
import weakref
from pathlib import Path
from types import TracebackType

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.qemu import build_elf
from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler, find_emulator
from tt_tflm.devices import get_profile
from tt_tflm.errors import InputError

_SOURCES = ("tt_sim_console.c",)
_HOST_SOURCES = (*_SOURCES, "tt_sim_console_host.c")
_DEVICE_SOURCES = (*_SOURCES, "tt_sim_console_uart.c", "tt_sim_paint.c", "tt_sim_start.c", "tt_sim_semihost.c")
STORAGE_FILE = "storage.bin"
STACK_FILE = "stack_bytes.bin"


class ConsoleProcess:
    """A running board with a console; a context manager that ends it.

    What the board saves lies in ``storage.bin`` of its folder: another one started there takes it up, as a board does
    after a reboot. An emulated board writes the most of the stack that its console has taken so far, everything that it
    calls included, to ``stack_bytes.bin``: a uint32, little-endian.

    Args:
        files: the build.
        device: ``host`` or a target that is emulated.
        folder: working directory of the process; exists.
        capacity: samples that the board can keep.
        pixels: whether it keeps them as uint8; else as float32.

    Attributes:
        port: the pseudo-terminal, as ``tt_tflm.Board`` takes it.

    Raises:
        InputError: there is no such target, or an argument is out of range.
        ToolchainError: a compiler or the emulator is missing or failed.
    """

    def __init__(
        self, files: SimulationFiles, device: str, folder: str | Path, *, capacity: int = 25, pixels: bool = True
    ) -> None:
        command = console_command(files, device, capacity=capacity, pixels=pixels)
        self._folder = Path(folder)
        (self._folder / STACK_FILE).unlink(missing_ok=True)
        resources = contextlib.ExitStack()
        self._end = weakref.finalize(self, resources.close)
        try:
            ours, theirs = pty.openpty()
            resources.callback(os.close, ours)
            # Stays open: else the process would read an end of file whenever nobody has opened the port.
            resources.callback(os.close, theirs)
            tty.setraw(theirs)
            self.port = os.ttyname(theirs)
            process = subprocess.Popen(command, cwd=folder, stdin=ours, stdout=ours, stderr=subprocess.DEVNULL)
            resources.callback(_kill, process)
        except BaseException:
            self.close()
            raise

    def stack_bytes(self) -> int | None:
        """The most of the stack that the console has taken so far; None where that is not measured (host)."""
        try:
            return int.from_bytes((self._folder / STACK_FILE).read_bytes(), "little") or None
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Ends the board as a cut of power does; further calls do nothing."""
        self._end()

    def __enter__(self) -> ConsoleProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def console_command(files: SimulationFiles, device: str, *, capacity: int = 25, pixels: bool = True) -> list[str]:
    """The command of a board whose console is its standard input and output; arguments and errors as above."""
    if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= 4096:
        raise InputError(f"expected a capacity from 1 to 4096 samples, received {capacity!r}")
    console = files.sim_dir.parent / "console"
    sources = sorted(console.glob("*.c"))
    defines = (f"-DTT_SIM_CONSOLE_CAPACITY={capacity}", f"-DTT_SIM_CONSOLE_FLOAT32={int(not pixels)}")
    profile = get_profile(device)
    if profile.board is not None:
        own = [*sources, *(files.sim_dir / name for name in _DEVICE_SOURCES)]
        elf = build_elf(files, device, own, (console,), defines)
        return [
            find_emulator(),
            *("-M", profile.board.machine),
            *("-display", "none", "-monitor", "none"),
            *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-kernel", str(elf)),
        ]
    base, kernel = (profile.compile_flags(kernel=flag) for flag in (False, True))
    units = [
        *(CompileUnit(path, (*base, *defines)) for path in sources),
        *(CompileUnit(files.sim_dir / name, (*base, *defines)) for name in _HOST_SOURCES),
        *(CompileUnit(path, base) for path in files.sources),
        *(CompileUnit(path, kernel) for path in files.kernel_sources),
    ]
    include_dirs = (*files.include_dirs, files.sim_dir, console)
    program = build_program(find_compiler(profile), units, include_dirs, (), label="compiling for the host")
    return [str(program)]


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
