# SPDX-License-Identifier: Apache-2.0
"""Compilers and emulator: finding them, and compiling a build once for each target in a process.

Objects are kept for the life of the process under a hash of everything they depend on: simulating a build again, or
a build that shares its weights with another, compiles only what is new.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tt_tflm.devices import CORES, DeviceProfile
from tt_tflm.errors import InputError, OverflowingMemoryError, ToolchainError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PROGRESS_AFTER_S = 2.0
_PARALLEL_COMPILERS = 2
# The name of an included file; empty where it is a macro's.
_INCLUDE = re.compile(rb"""^[ \t]*#[ \t]*include\b[ \t]*(?:["<]([^">\n]+)[">])?""", re.MULTILINE)
# A file that an assembler source takes as it is.
_INCBIN = re.compile(rb'''^[^"\n]*\.incbin[ \t]+"([^"\n]+)"''', re.MULTILINE)
_ASSEMBLER = ".S"
_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")

_cache_lock = threading.Lock()
_cache: tempfile.TemporaryDirectory[str] | None = None


@dataclass(frozen=True)
class CompileUnit:
    """One source file (.c or .S) and the flags it is compiled with, include folders apart."""

    source: Path
    flags: tuple[str, ...]


def find_compiler(profile: DeviceProfile) -> str:
    """Path of the C compiler for a target.

    Raises:
        ToolchainError: there is none; the message names the packages to install.
    """
    toolchain = profile.toolchain
    return _find(toolchain.compilers, toolchain.packages, f"to compile for {profile.name}")


def find_emulator(profile: DeviceProfile) -> str:
    """Path of QEMU for a target.

    Raises:
        InputError: the target is not emulated.
        ToolchainError: there is none; the message names the packages to install.
    """
    if profile.emulator is None:
        raise InputError(f"expected a target that is emulated, received {profile.name!r}")
    return _find((profile.emulator.command,), profile.emulator.packages, f"to emulate a {profile.name}")


def _find(commands: Sequence[str], packages: str, purpose: str) -> str:
    for command in commands:
        path = shutil.which(command)
        if path is not None:
            return path
    raise ToolchainError(
        f"expected {' or '.join(commands)} on PATH {purpose}, received none: install the Debian packages {packages}"
    )


def compile_objects(
    compiler: str, units: Sequence[CompileUnit], include_dirs: Sequence[Path], *, label: str = "compiling"
) -> list[Path]:
    """Compiles the units, one object each, in order; arguments and errors as for `build_program`."""
    includes = [f"-I{folder}" for folder in include_dirs]
    dependencies = _Dependencies(include_dirs)
    objects: list[Path] = []
    missing: list[tuple[Path, Path, list[str]]] = []
    for unit in units:
        key = _hash(compiler, *unit.flags, _hash_files(dependencies.of(unit.source)))
        target = _cache_folder() / f"{key}.o"
        objects.append(target)
        if not target.exists():
            command = [compiler, *unit.flags, *includes, "-c", str(unit.source)]
            missing.append((unit.source, target, command))
    _compile_all(missing, label)
    return objects


def build_program(
    compiler: str,
    units: Sequence[CompileUnit],
    include_dirs: Sequence[Path],
    link_flags: Sequence[str],
    *,
    libraries: Sequence[str] = ("-lm",),
    link_inputs: Sequence[Path] = (),
    label: str = "compiling",
) -> Path:
    """Compiles the units and links them; what the same process has made before is reused.

    Args:
        compiler: path of a GCC or Clang driver; it links, too.
        units: what to compile.
        include_dirs: searched in order; the headers in them that a unit includes count as its dependencies.
        link_flags: for the link alone. Must not hold -ffast-math: GCC would then link code that makes the whole
            process flush denormal numbers.
        libraries: linked after the objects.
        link_inputs: files named in link_flags (linker scripts), as dependencies of the program.
        label: shown with the progress bar, which appears on a terminal after two seconds.

    Returns:
        Path of the program, valid until the process ends; not to be written to.

    Raises:
        ToolchainError: a source or the link failed; the message is the compiler's first error.
    """
    objects = compile_objects(compiler, units, include_dirs, label=label)
    key = _hash(compiler, *link_flags, *libraries, *(path.name for path in objects), _hash_files(link_inputs))
    program = _cache_folder() / f"{key}.program"
    if not program.exists():
        _run([compiler, *map(str, objects), *link_flags, *libraries], program, what="link")
    return program


class _Dependencies:
    """What sources are made of: a source of the runtime does not become another because the build beside it did."""

    def __init__(self, include_dirs: Sequence[Path]) -> None:
        self._folders = [Path(folder) for folder in include_dirs]
        self._included: dict[Path, list[Path]] = {}

    def of(self, source: Path) -> list[Path]:
        """The source and every file that it may include, in the order in which they are met."""
        found = {source: None}
        open_files = [source]
        while open_files:
            opened = open_files.pop()
            for path in self._includes(opened):
                if path not in found:
                    found[path] = None
                    open_files.append(path)
            if opened.suffix == _ASSEMBLER:  # what it takes as it is holds no directives
                found |= dict.fromkeys(self._places(_INCBIN.findall(opened.read_bytes()), opened))
        return list(found)

    def _includes(self, path: Path) -> list[Path]:
        if path not in self._included:
            self._included[path] = self._read(path)
        return self._included[path]

    def _read(self, path: Path) -> list[Path]:
        try:
            names = _INCLUDE.findall(path.read_bytes())
        except OSError as error:
            raise ToolchainError(f"expected a readable source file, received {path}: {error.strerror}") from error
        if any(name == b"" for name in names):  # a macro names the file: it may be any of them
            return sorted(header for folder in self._folders for header in folder.glob("*.h"))
        return self._places(names, path)

    def _places(self, names: Iterable[bytes], path: Path) -> list[Path]:
        """All that a name may mean: which of them it is depends on the form of the directive."""
        places = (folder / os.fsdecode(name) for name in names for folder in (path.parent, *self._folders))
        return [place for place in places if place.is_file()]


def _cache_folder() -> Path:
    global _cache
    with _cache_lock:
        if _cache is None:
            _cache = tempfile.TemporaryDirectory(prefix="tt-tflm-objects-")
            atexit.register(_cache.cleanup)
        return Path(_cache.name)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _hash_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ToolchainError(f"expected a readable source file, received {path}: {error.strerror}") from error
        digest.update(f"{Path(path).name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _compile_all(jobs: Sequence[tuple[Path, Path, list[str]]], label: str) -> None:
    if not jobs:
        return
    # The weights are by far the longest job: begun last, they would be waited for alone.
    jobs = sorted(jobs, key=lambda job: job[0].stat().st_size, reverse=True)
    started = time.monotonic()
    progress = task = None
    with ThreadPoolExecutor(min(_PARALLEL_COMPILERS, os.cpu_count() or 1)) as pool:
        pending = {pool.submit(_run, command, target, what=source.name) for source, target, command in jobs}
        try:
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                if progress is None and time.monotonic() - started > _PROGRESS_AFTER_S and sys.stderr.isatty():
                    progress, task = _start_progress(label, len(jobs))
                if progress is not None:
                    progress.update(task, completed=len(jobs) - len(pending))
        finally:
            for future in pending:
                future.cancel()
            if progress is not None:
                progress.stop()


def _start_progress(label: str, total: int) -> tuple[Progress, TaskID]:
    # Imported here: most builds are done before a bar is worth showing.
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True), transient=True)
    progress.start()
    return progress, progress.add_task(label, total=total)


def _run(command: list[str], target: Path, what: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix="unfinished-")
    os.close(handle)
    try:
        result = subprocess.run(
            [*command, "-o", temporary], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        if result.returncode != 0:
            overflow = _OVERFLOW.search(result.stderr)
            if overflow:
                raise OverflowingMemoryError(
                    "expected a program that fits the memory of the emulated board, received one of "
                    f"{int(overflow[2]):,} B too much: simulate on a core whose board has more, such as {_roomiest()}, "
                    "or train less"
                )
            raise ToolchainError(f"{Path(command[0]).name} failed on {what}: {_first_error(result.stderr)}")
        # Put in place whole: another thread may be waiting for the same object.
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _roomiest() -> str:
    """The core whose emulated board has the most memory."""
    emulated = {core.name: core.board.data.length for core in CORES.values() if core.board}
    return max(emulated, key=lambda name: emulated[name])


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if "error" in line or "undefined reference" in line:
            return line
    return lines[-1] if lines else "no message"
