# SPDX-License-Identifier: Apache-2.0
"""A training run of every build under AddressSanitizer and UndefinedBehaviorSanitizer: memory of exactly the reported
size on the heap, every byte of it but the row pool and the session filled before every call."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .models import MATRIX, NETS
from .training_program import PROGRAM
from .workshop import MODEL_SOURCES, SANITIZED, SavedBuild, need

# NaN, zeros, and a number of every type that nobody computes with by chance.
FILLINGS = (0xFF, 0x00, 0x5A)


def _program(compiler: str, build: SavedBuild, runtime_object: Callable[..., Path], folder: Path) -> Path:
    main = folder / "main.c"
    main.write_text(PROGRAM)
    objects = [
        runtime_object(compiler, source, build.include) for source in build.sources if source.name not in MODEL_SOURCES
    ]
    program = folder / "program"
    command = [compiler, *SANITIZED, build.include, main, *build.model_sources(), *objects, "-lm", "-o", program]
    subprocess.run(command, check=True)
    return program


def _run(program: Path, filling: int) -> list[str]:
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own; the program frees all.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    result = subprocess.run(
        [program, str(filling)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout.splitlines()


# Both compilers for every net and every kind of step; the matrix of losses and optimisers by turns.
_TURNS = [(name, ("gcc", "clang")[i % 2]) for i, name in enumerate(MATRIX)]
_RUNS = [*_TURNS, *((name, compiler) for name in NETS for compiler in ("gcc", "clang"))]


@pytest.mark.parametrize(("name", "compiler"), _RUNS)
def test_training_is_clean_and_reads_nothing_that_was_not_written(name, compiler, saved, runtime_object, tmp_path):
    need(compiler)
    program = _program(compiler, saved(name), runtime_object, tmp_path)
    runs = [_run(program, filling) for filling in FILLINGS]
    assert runs[0] == runs[1] == runs[2]
    lines = [line.split() for line in runs[0]]
    assert all(math.isfinite(float.fromhex(number)) for _, *numbers in lines[:-1] for number in numbers)
    assert lines[-1] == ["reset", "0"], "after a reset the build is as it was"
    scores = [numbers for name, *numbers in lines if name in ("first", "scores")]
    assert scores[0] != scores[-1], "training changed nothing"
