# SPDX-License-Identifier: Apache-2.0
"""Bytes of code that a build adds to a firmware."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.toolchain import CompileUnit, compile_objects, find_compiler
from tt_tflm.devices import DeviceProfile
from tt_tflm.errors import ToolchainError
from tvm_passes.specs import CLASS, VECTOR

# What a firmware calls; what a build lacks costs nothing, since nothing else is linked.
_CALLS = ("tt_init", "tt_reset", "tt_set_learning_rate", "tt_predict", "tt_save", "tt_load")
_PROTOTYPE_CALLS = ("tt_embedding", "tt_enroll", "tt_forget_prototypes")
_CHOICE_CALLS = ("tt_select",)
# By the kind of a label; the second of builds that choose.
_TRAINING_CALLS = {
    CLASS: ("tt_train_step", "tt_fisher_accumulate"),
    VECTOR: ("tt_train_step_to", "tt_fisher_accumulate_to"),
}


def code_bytes(files: SimulationFiles, profile: DeviceProfile) -> int | None:
    """Code and constant tables that a firmware links of a build, weights apart, compiled for a target.

    Returns:
        The ``text`` and ``data`` columns of the ``size`` tool of everything that the calls of such a build lead to,
        source by source; the C library is not counted. None where the compiler of the target is not installed.
    """
    try:
        compiler = find_compiler(profile)
    except ToolchainError:
        return None
    ar, size = (shutil.which(tool) for tool in (profile.toolchain.ar, profile.toolchain.size))
    if ar is None or size is None:
        return None
    base, kernel = (profile.compile_flags(kernel=flag) for flag in (False, True))
    units = [CompileUnit(path, base) for path in files.sources if path not in files.weight_sources]
    units += [CompileUnit(path, kernel) for path in files.kernel_sources]
    objects = compile_objects(compiler, units, files.include_dirs, label=f"measuring the code for {profile.name}")
    with tempfile.TemporaryDirectory(prefix="tt-tflm-size-") as folder:
        archive, linked = Path(folder) / "build.a", Path(folder) / "linked.o"
        _run([ar, "rcs", str(archive), *map(str, objects)])
        wanted = [f"-Wl,-u,{call}" for call in _calls(files.description)]
        _run([compiler, *profile.cpu_flags, "-nostdlib", "-r", *wanted, str(archive), "-o", str(linked)])
        listing = _run([size, str(linked)]).splitlines()
    return int(listing[1].split()[0]) + int(listing[1].split()[1])


def _calls(description: Mapping[str, Any]) -> list[str]:
    # The model itself is named by the firmware alone.
    train, inspect = _TRAINING_CALLS[description["label"]]
    calls = [description["symbol"], *_CALLS, train]
    if description["prototypes"] is not None:
        calls += _PROTOTYPE_CALLS
    if description["choice"] is not None:
        calls += [inspect, *_CHOICE_CALLS]
    if description["adaptable"]:
        calls.append("tt_adapt")
    return calls


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
