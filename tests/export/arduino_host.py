# SPDX-License-Identifier: Apache-2.0
"""Sketches on the host: the exported library, a sketch and the shim as one program, under the sanitisers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from emit.workshop import run_quietly

from .arduino_compiler import SHIM, TFLM_SHIM, Toolchain, library_sources

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")
# What the core of a board defines: which storage the library takes hangs on it.
STORAGES = {
    "internal flash": ("-DARDUINO_ARCH_MBED", "-DDEVICE_FLASH=1"),
    "EEPROM": ("-DARDUINO_ARCH_RENESAS",),
    "RAM": (),
}


def host_program(
    library: Path,
    sketch: Path,
    folder: Path,
    storage: str = "internal flash",
    *,
    only: Callable[[Path], bool] | None = None,
) -> Path:
    """The program of a sketch; Serial is its standard input and output.

    Args:
        only: which sources of the library to compile; None for all.
    """
    if shutil.which("g++") is None:
        pytest.skip("not installed: g++")
    toolchain = Toolchain(
        "gcc",
        "g++",
        ("-O0", *SANITIZERS),
        ("-std=gnu11",),
        ("-std=gnu++14", "-fno-rtti", *STORAGES[storage]),
        (SHIM, TFLM_SHIM),
    )
    chosen = [source for source in library_sources(library) if only is None or only(source)]
    c_sources = [source for source in chosen if source.suffix == ".c"]
    shared = library.parent / "host"  # C knows nothing of the storage
    if not shared.exists():
        toolchain.objects(c_sources, library, shared)
    sources = [*(source for source in chosen if source.suffix == ".cpp"), sketch, SHIM / "arduino_shim.cpp"]
    objects = [*shared.glob("*.o"), *toolchain.objects(sources, library, folder / "objects")]
    program = folder / "sketch"
    run_quietly("g++", *SANITIZERS, *objects, "-lm", "-o", program)
    return program


def environment(folder: Path) -> dict[str, str]:
    """For a run of such a program; what it saves stays in the folder."""
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own; nothing is allocated.
    return os.environ | {
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TT_SHIM_FLASH": str(folder / "flash"),
        "TT_SHIM_EEPROM": str(folder / "eeprom"),
        "TT_SHIM_SENSOR": str(folder / "sensor"),
    }


def run_lines(program: Path, lines: Sequence[str], folder: Path) -> list[str]:
    """What the program answers to these lines, which are its whole input."""
    text = "".join(f"{line}\n" for line in lines)
    result = subprocess.run(
        [program], input=text, capture_output=True, text=True, env=environment(folder), timeout=120, check=False
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout.splitlines()


@contextmanager
def plugged_in(program: Path, folder: Path) -> Iterator[str]:
    """The name of a serial port with the program at it, which ends when it is unplugged."""
    board, port = os.openpty()
    tty.setraw(port)
    process = subprocess.Popen([program], stdin=board, stdout=board, stderr=subprocess.PIPE, env=environment(folder))
    os.close(board)
    try:
        yield os.ttyname(port)
    finally:
        os.close(port)
        try:
            _, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, complaints) == (0, b"")
