# SPDX-License-Identifier: Apache-2.0
"""Builds with a console, and the console's program on the host under the sanitisers."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from emit import models
from emit.workshop import run_quietly

import tt_tflm

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")


@functools.cache
def build(name: str) -> tt_tflm.Build:
    """The build of a recipe of the emitter's tests."""
    return models.build(name)


def written(name: str, folder: Path) -> Path:
    """The build's folder, below `folder`."""
    build(name)._write(folder / "build")
    return folder / "build"


def program_of(folder: Path, name: str, *mains: Path, defines: tuple[str, ...] = ()) -> Path:
    """A program of a build, its console and a main, in the build's folder."""
    flags = [
        "-std=c99",
        "-O1",
        "-g1",
        *SANITIZERS,
        *(f"-I{folder / part}" for part in ("include", "console", "sim", "src")),
    ]
    shared = folder / "objects"
    if not shared.exists():
        shared.mkdir()
        run_quietly("gcc", *flags, "-c", *folder.glob("console/*.c"), *folder.glob("src/*.c"), cwd=shared)
    target = folder / f"{name}.exe"
    own = [folder / "sim/tt_sim_console.c", *mains]
    run_quietly("gcc", *flags, *defines, *own, *shared.glob("*.o"), "-lm", "-o", target)
    return target


def _environment() -> dict[str, str]:
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own; nothing is allocated.
    return {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def talk(program: Path, text: str | bytes, *arguments: str) -> list[str]:
    """What a program says to an input that it has all at once; its storage lasts for this run."""
    content = text.encode("ascii") if isinstance(text, str) else text
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [program, *arguments],
            input=content,
            capture_output=True,
            cwd=folder,
            env=_environment(),
            timeout=120,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, b""), result.stderr.decode(errors="replace")
    return result.stdout.decode("ascii").splitlines()


def answers_in_turn(program: Path, lines: Iterable[bytes]) -> list[str]:
    """What a console answers to lines that are sent one after the other, each when the one before has been answered."""
    said = []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=_environment(),
        ) as process,
    ):
        for line in lines:
            process.stdin.write(line)
            process.stdin.flush()
            heard = b"" if line.strip() else b"!"
            while not heard.startswith(b"!"):
                heard = process.stdout.readline()
                assert heard, process.stderr.read().decode(errors="replace")
            if line.strip():
                said.append(heard.decode("ascii").rstrip("\r\n"))
        rest, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, b""), complaints.decode(errors="replace")
    assert b"!" not in rest
    return said
