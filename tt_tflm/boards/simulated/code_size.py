# SPDX-License-Identifier: Apache-2.0
"""Bytes of code that a build adds to a firmware."""

from __future__ import annotations

import shutil
import subprocess

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.toolchain import CompileUnit, compile_objects, find_compiler
from tt_tflm.devices import DeviceProfile
from tt_tflm.errors import ToolchainError

WEIGHTS_SOURCE = "tt_weights.c"


def code_bytes(files: SimulationFiles, profile: DeviceProfile) -> int | None:
    """Code and constant tables of the sources that firmware links, weights apart, compiled for a target.

    Returns:
        The sum of the ``text`` and ``data`` columns of the ``size`` tool; None where the compiler of the target is not
        installed.
    """
    try:
        compiler = find_compiler(profile)
    except ToolchainError:
        return None
    size_tool = shutil.which(profile.toolchain.size)
    if size_tool is None:
        return None
    base, kernel = (profile.compile_flags(kernel=flag) for flag in (False, True))
    units = [CompileUnit(path, base) for path in files.sources if path.name != WEIGHTS_SOURCE]
    units += [CompileUnit(path, kernel) for path in files.kernel_sources]
    objects = compile_objects(compiler, units, files.include_dirs, label=f"measuring the code for {profile.name}")
    listing = subprocess.run([size_tool, *map(str, objects)], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[0]) + int(line.split()[1]) for line in listing.splitlines()[1:])
