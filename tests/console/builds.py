# SPDX-License-Identifier: Apache-2.0
"""Builds with a console, and the console's program on the host under the sanitisers."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
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


def talk(program: Path, text: str | bytes, *arguments: str) -> list[str]:
    """What a program answers to an input; its storage lasts for this run."""
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own; nothing is allocated.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    content = text.encode("ascii") if isinstance(text, str) else text
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [program, *arguments],
            input=content,
            capture_output=True,
            cwd=folder,
            env=environment,
            timeout=120,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, b""), result.stderr.decode(errors="replace")
    return result.stdout.decode("ascii").splitlines()
