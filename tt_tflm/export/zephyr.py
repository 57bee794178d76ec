# SPDX-License-Identifier: Apache-2.0
"""A build as a Zephyr module: sources, Kconfig, a console in a thread of its own, a sample and a test."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from tt_tflm.build import Build
from tt_tflm.devices.profiles import BASE_FLAGS, CORTEX_M_KERNEL_FLAGS
from tt_tflm.emit.c_library import KERNEL_SOURCE
from tt_tflm.export.backend import need_c_backend
from tt_tflm.export.render import rendered
from tt_tflm.new_folder import new_folder
from tt_tflm.ops_path import ops_path

_TEMPLATES = Path(__file__).parent / "templates" / "zephyr"
# A model's name stands in C, CMake and Kconfig.
_PLAIN = re.compile(r"[^A-Za-z0-9 _.+-]")
_SAMPLE = "samples/enroll_and_adapt"
_TEST = "tests/persistence"
_STACK_BYTES = 4096
_SUPPORT_SAMPLES = 25
_ITERATIONS = 100
# What kernel, drivers and their stacks take in the sample.
_ZEPHYR_BYTES = 16 * 1024
# Under the names of Zephyr's current versions: earlier ones pass over names that they do not know.
_PLATFORMS = ("native_sim", "mps3/corstone300/an547", "mps2/an521/cpu0")


def export_zephyr(build: Build, folder: str | Path) -> None:
    """Write a module to a folder that does not exist yet or is empty; on any error nothing is left behind.

    The module is found by ``zephyr/module.yml`` and enabled with ``CONFIG_TINYTRAIN=y``;
    ``samples/enroll_and_adapt`` is an application that finds the module by itself.

    Raises:
        InputError: the build is of the backend ``tflm``, or the folder is not empty or cannot be written.
    """
    with new_folder(folder) as draft:
        for name, text in zephyr_files(build).items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def zephyr_files(build: Build) -> dict[str, str]:
    """The files of the module: path below its folder -> text.

    Raises:
        InputError: the build is of the backend ``tflm``.
    """
    need_c_backend(build)
    model = {name: text for name, text in build.files.items() if name.startswith(("include/", "src/"))}
    console = {
        f"console/{path.name}": path.read_text(encoding="utf-8") for path in sorted((ops_path() / "console").iterdir())
    }
    own = rendered(_TEMPLATES, _settings(build, model, console))
    overlays = {
        f"{_TEST}/boards/{Path(name).name}": text for name, text in own.items() if name.startswith(f"{_SAMPLE}/boards/")
    }
    return {**model, **console, **own, **overlays}


def _settings(build: Build, model: dict[str, str], console: dict[str, str]) -> dict[str, Any]:
    report = build.report_data
    elements = math.prod(build.simulation["input_shape"])
    support = _SUPPORT_SAMPLES * elements
    ram = report["ram_bytes"] + support + _STACK_BYTES + _ZEPHYR_BYTES
    return {
        "model": _PLAIN.sub("?", report["model"]),
        "model_sources": [name for name in sorted(model) if name.endswith(".c")],
        "console_sources": [name for name in console if name.endswith(".c")],
        "kernel_source": KERNEL_SOURCE,
        # The language standard is Zephyr's.
        "base_flags": [flag for flag in BASE_FLAGS if not flag.startswith("-std=")],
        "kernel_flags": [flag for flag in CORTEX_M_KERNEL_FLAGS if not flag.startswith("-std=")],
        "arena_bytes": report["arena_bytes"],
        "row_pool_bytes": report["row_pool_bytes"],
        "session_bytes": report["session_bytes"],
        "stack_bytes": _STACK_BYTES,
        "samples": _SUPPORT_SAMPLES,
        "iterations": _ITERATIONS,
        "input_bytes_uint8": elements,
        "input_bytes_float": 4 * elements,
        "input_shape": build.simulation["input_shape"],
        "classes": build.simulation["classes"],
        "min_ram": -(-ram // 1024),
        "platforms": _PLATFORMS,
    }
