# SPDX-License-Identifier: Apache-2.0
"""Adaptation in slices: interleaved at random with all that may come between, under the sanitisers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .workshop import need, run_quietly

PROGRAM = Path(__file__).parent / "interleavings.c"
FLAGS = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover")
INTERLEAVINGS = 10_000


def test_random_interleavings_leave_a_valid_session(saved, tmp_path):
    need("gcc")
    build, program = saved("dynamic"), tmp_path / "interleavings"
    source = [f"-I{build.folder / 'src'}", PROGRAM, *build.sources]
    run_quietly("gcc", *FLAGS, build.include, *source, "-lm", "-o", program)
    # Where a sandbox forbids tracing, the search for leaks would fail for a reason of its own.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    command = [program, str(INTERLEAVINGS), "1"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    runs, *counts = map(int, result.stdout.split())
    assert runs == INTERLEAVINGS and min(counts) > INTERLEAVINGS // 50
    assert sum(counts) > 8 * INTERLEAVINGS
