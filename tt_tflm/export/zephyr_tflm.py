# SPDX-License-Identifier: Apache-2.0
"""A build of the backend tflm as a Zephyr module: train.tflite, its operators, and a C interface around an interpreter."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import tflite

from tt_tflm.build import Build
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.export.render import rendered
from tt_tflm.export.zephyr_parts import (
    ZEPHYR_BASE_FLAGS,
    ZEPHYR_BYTES,
    ZEPHYR_KERNEL_FLAGS,
    ZEPHYR_PLATFORMS,
    plain_name,
    zephyr_parts,
)
from tt_tflm.ops_path import ops_path

_TEMPLATES = Path(__file__).parent / "templates" / "zephyr_tflm"
_TRAIN = "train.tflite"
_SAMPLE = "samples/train_and_remember"
_STACK_BYTES = 8192
_STATE_MODEL_BYTES = 8  # TT_STATE_MODEL_BYTES
# For what versions of TensorFlow Lite Micro differ in.
_SPARE_BYTES = 1024


def tflm_module(build: Build) -> dict[str, str]:
    """The files of the module: path below its folder -> text.

    Raises:
        InputError: the board chooses what it trains: no module can do that yet.
        ToolchainError: the wheel is missing that tells how large the arena is.
    """
    if build.report_data["mode"] != "static":
        raise InputError(
            "expected a static build of backend 'tflm' to export, received a dynamic one, for which examples/tflm_firmware "
            "is the place to begin: convert with --train, or without --backend"
        )
    files = {name: text for name, text in build.files.items() if name.startswith(("include/", "src/", "tflm/"))}
    own = rendered(_TEMPLATES, _settings(build, files))
    return {**files, **zephyr_parts([_SAMPLE]), **own}


def _settings(build: Build, files: dict[str, str]) -> dict[str, Any]:
    content = build.models[_TRAIN]
    layout = build.simulation["tflm"][_TRAIN]
    kernels = {path.name for path in (ops_path() / "kernels" / "src").glob("*.c")}
    sources = sorted(name for name in files if name.endswith((".c", ".cc")))
    elements = math.prod(build.simulation["input_shape"])
    arena_bytes = _arena_bytes(build)
    return {
        "model": plain_name(build.report_data["model"]),
        "sources": ["model/tt_tflm_model.cc", "model/tt_train_model.c", *sources],
        "kernel_sources": [name for name in sources if Path(name).name in kernels],
        "base_flags": ZEPHYR_BASE_FLAGS,
        "kernel_flags": ZEPHYR_KERNEL_FLAGS,
        "arena_bytes": arena_bytes,
        "input_elements": elements,
        "input_shape": build.simulation["input_shape"],
        "classes": build.simulation["classes"],
        "prototypes": build.simulation["prototypes"] is not None,
        "inputs": layout["inputs"],
        "outputs": layout["outputs"],
        "state": [name for name in layout["inputs"] if name in layout["outputs"]],
        "fingerprint": list(hashlib.sha256(content).digest()[:_STATE_MODEL_BYTES]),
        "builtin_ops": _builtin_ops(content),
        "train_model": list(content),
        "platforms": ZEPHYR_PLATFORMS,
        "min_ram": -(-(arena_bytes + 4 * elements + _STACK_BYTES + ZEPHYR_BYTES) // 1024),
    }


def _arena_bytes(build: Build) -> int:
    used = build.report_data.get("tflm_arena_bytes") or build.report["tflm_arena_bytes"]
    if used is None:
        raise ToolchainError(
            "expected the tflite-micro wheel, which tells how large the arena is, received none: pip install 'tt-tflm[tflm]'"
        )
    return -(-(used + _SPARE_BYTES) // 16) * 16


def _builtin_ops(content: bytes) -> list[str]:
    """The builtin operators of a model, as MicroMutableOpResolver calls them: Add, Conv2D, ..."""
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
    model = tflite.Model.GetRootAsModel(content, 0)
    codes = {model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())}
    return sorted(_method(names[code]) for code in codes - {tflite.BuiltinOperator.CUSTOM})


def _method(name: str) -> str:
    words = name.replace("PADV2", "PAD_V2").split("_")
    return "".join(word if word[0].isdigit() else word.capitalize() for word in words)
