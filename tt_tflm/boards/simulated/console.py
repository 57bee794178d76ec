# SPDX-License-Identifier: Apache-2.0
"""Boards with a console at a pseudo-terminal, on this machine or emulated, for ``tt_tflm.Board`` without hardware."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import tempfile
import tty
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.host import build_library
from tt_tflm.boards.simulated.qemu import build_elf, emulator_command
from tt_tflm.boards.simulated.tflm_console import start_console
from tt_tflm.boards.simulated.tflm_models import TflmModels, files_for_wheel
from tt_tflm.boards.simulated.toolchain import CompileUnit, build_program, find_compiler
from tt_tflm.devices import get_profile
from tt_tflm.errors import InputError

_SOURCES = ("tt_sim_console.c",)
_HOST_SOURCES = (*_SOURCES, "tt_sim_console_host.c")
_DEVICE_SOURCES = (*_SOURCES, "tt_sim_console_uart.c")
_TFLM_DEVICES = ("host", "tflm")
STORAGE_FILE = "storage.bin"
STACK_FILE = "stack_bytes.bin"


class ConsoleProcess:
    """A running board with a console; a context manager that ends it.

    What the board saves lies in ``storage.bin`` of its folder: another one started there takes it up, as a board does
    after a reboot. An emulated board writes the most of the stack that its console has taken so far, everything that it
    calls included, to ``stack_bytes.bin``: a uint32, little-endian.

    Args:
        files: the build.
        device: ``host`` or a target that is emulated; ``host`` or ``tflm`` for a build of the backend ``tflm``.
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
        start = _prepared(files, device, capacity, pixels)
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
            resources.callback(_kill, start(folder, ours))
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


def _prepared(
    files: SimulationFiles, device: str, capacity: int, pixels: bool
) -> Callable[[str | Path, int], subprocess.Popen[bytes]]:
    """Compiles the board; arguments and errors as above.

    Returns:
        What starts it, given the working directory of its process and the file descriptor of the console's line.
    """
    if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= 4096:
        raise InputError(f"expected a capacity from 1 to 4096 samples, received {capacity!r}")
    defines = (f"-DTT_SIM_CONSOLE_CAPACITY={capacity}", f"-DTT_SIM_CONSOLE_FLOAT32={int(not pixels)}")
    if files.description.get("backend") == "tflm":
        return _prepared_with_wheel(files, device, defines)
    command = _command(files, device, defines)

    def start(folder: str | Path, line: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=folder, stdin=line, stdout=line, stderr=subprocess.DEVNULL)

    return start


def _prepared_with_wheel(
    files: SimulationFiles, device: str, defines: tuple[str, ...]
) -> Callable[[str | Path, int], subprocess.Popen[bytes]]:
    if device not in _TFLM_DEVICES:
        raise InputError(
            f"expected device {' or '.join(_TFLM_DEVICES)} for the console of a build of backend 'tflm', "
            f"received '{device}': export it for a board"
        )
    compiled, arena = files_for_wheel(files, TflmModels(files.description["tflm"], files.models).arena_bytes)
    console = compiled.sim_dir.parent / "console"
    own = [*sorted(console.glob("*.c")), *(compiled.sim_dir / name for name in _HOST_SOURCES)]
    library = build_library(compiled, (*defines, *arena), own, (console,))

    def start(folder: str | Path, line: int) -> subprocess.Popen[bytes]:
        with tempfile.TemporaryDirectory(prefix="tt-tflm-console-") as scratch:
            return start_console(library, files, Path(scratch), folder, line)

    return start


def _command(files: SimulationFiles, device: str, defines: tuple[str, ...]) -> list[str]:
    """Of a board of the C backend whose console is its standard input and output."""
    console = files.sim_dir.parent / "console"
    sources = sorted(console.glob("*.c"))
    profile = get_profile(device)
    if not profile.is_host:
        own = [*sources, *(files.sim_dir / name for name in _DEVICE_SOURCES)]
        elf = build_elf(files, device, own, (console,), defines)
        serial = ("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
        return emulator_command(device, elf, serial=serial, counted=False)
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
