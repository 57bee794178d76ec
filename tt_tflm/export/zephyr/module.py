# SPDX-License-Identifier: Apache-2.0
"""A build as a Zephyr module: sources, Kconfig, a console in a thread of its own, a sample and a test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tt_tflm.build.artefact import Build
from tt_tflm.emit.c.weight_files import weight_assembly, weight_binary
from tt_tflm.export.firmware import Firmware, firmware
from tt_tflm.export.render import plain_name, rendered
from tt_tflm.export.zephyr.parts import ZEPHYR_BYTES, ZEPHYR_PLATFORMS, zephyr_flags, zephyr_parts
from tt_tflm.files.new_folder import new_folder
from tt_tflm.files.ops_path import ops_path

_TEMPLATES = Path(__file__).parent / "templates"
_APPLICATIONS = ("samples/enroll_and_adapt", "tests/persistence")
_STACK_BYTES = 4096
_TFLM_STACK_BYTES = 8192
_SUPPORT_SAMPLES = 25
_ITERATIONS = 100


def export_zephyr(build: Build, folder: str | Path) -> None:
    """Write a module to a folder that does not exist yet or is empty; on any error nothing is left behind.

    The module is found by ``zephyr/module.yml`` and enabled with ``CONFIG_TINYTRAIN=y``; an application below
    ``samples`` finds the module by itself. A build of the backend ``tflm`` becomes a module for Zephyr's TensorFlow
    Lite Micro.

    Raises:
        InputError: the folder is not empty or cannot be written.
        ToolchainError: the build is of the backend ``tflm``, and the wheel is missing that tells how large its arena
        is.
    """
    with new_folder(folder) as draft:
        model = firmware(build)
        for name, text in _files(build, model).items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if model.binary is not None:
            with (draft / weight_binary(model.binary.symbol)).open("wb") as file:
                file.writelines(model.binary.content())


def zephyr_files(build: Build) -> dict[str, str]:
    """The text files of the module: path below its folder -> text.

    Raises:
        ToolchainError: as of `export_zephyr`.
    """
    return _files(build, firmware(build))


def _files(build: Build, model: Firmware) -> dict[str, str]:
    console = {
        f"console/{path.name}": path.read_text(encoding="utf-8") for path in sorted((ops_path() / "console").iterdir())
    }
    own = rendered(_TEMPLATES, _settings(build, model, console))
    return {**model.files, **console, **zephyr_parts(_APPLICATIONS), **own}


def _settings(build: Build, model: Firmware, console: dict[str, str]) -> dict[str, Any]:
    report = build.report_data
    elements = math.prod(build.simulation["input_shape"])
    support = _SUPPORT_SAMPLES * elements
    stack = _TFLM_STACK_BYTES if model.interpreted else _STACK_BYTES
    ram = model.ram_bytes + report["session_bytes"] + support + stack + ZEPHYR_BYTES
    return {
        "model": plain_name(report["model"]),
        "tflm": model.interpreted,
        "model_sources": model.sources,
        "console_sources": [name for name in console if name.endswith(".c")],
        "kernel_sources": model.kernels,
        "weight_assembly": None if model.binary is None else weight_assembly(model.binary.symbol),
        "weight_binary": None if model.binary is None else weight_binary(model.binary.symbol),
        "base_flags": zephyr_flags(build.device.profile, kernel=False),
        "kernel_flags": zephyr_flags(build.device.profile, kernel=True),
        "arena_bytes": model.arena_bytes,
        "row_pool_bytes": model.row_pool_bytes,
        "session_bytes": report["session_bytes"],
        "stack_bytes": stack,
        "samples": _SUPPORT_SAMPLES,
        "iterations": _ITERATIONS,
        "input_bytes_uint8": elements,
        "input_bytes_float": 4 * elements,
        "input_shape": build.simulation["input_shape"],
        "classes": build.simulation["classes"],
        "min_ram": -(-ram // 1024),
        "platforms": ZEPHYR_PLATFORMS,
    }
