# SPDX-License-Identifier: Apache-2.0
"""A build as an Arduino library: one zip, which the Arduino IDE and arduino-cli install as it is."""

from __future__ import annotations

import importlib.metadata
import math
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tt_tflm.build.artefact import Build
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.export.arduino.boards import BOARDS, ArduinoBoard
from tt_tflm.export.firmware import Firmware, firmware
from tt_tflm.export.render import plain_name, rendered

LIBRARY = "TinyTrain"
"""Name of the library, its folder and its header; a sketchbook holds one model at a time."""

_TEMPLATES = Path(__file__).parent / "templates"
_SAMPLES_PER_CLASS = 5
_LINE_BYTES = 256  # TT_CONSOLE_LINE_BYTES
_ITERATIONS = 100
# Measured for Cortex-M4 and -M0+ and rounded up; a test compares.
_CONSOLE_BYTES = 640  # a tt_console_t, the class beside the model's memory, and small variables
_CONSOLE_CODE = 13 * 1024  # console, class and sketch: the report counts the model's code alone
# Of a sketch that links TensorFlow Lite Micro: its interpreter and kernels, and the operators for training.
_TFLM_CODE = 200 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold: the same build gives the same bytes
_FILE_MODE = 0o644


def export_arduino(build: Build, path: str | Path) -> None:
    """Write a library to a zip that does not exist yet; on any error nothing is left behind.

    Raises:
        InputError: the build is for the host or fits no Arduino board, or the zip exists, is not named ``.zip`` or
            cannot be written.
        ToolchainError: the build is of the backend ``tflm``, and the wheel is missing that tells how large its
            arena is.
    """
    target = Path(path)
    check_zip(target)
    files = arduino_files(build)
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in sorted(files.items()):
                    entry = zipfile.ZipInfo(f"{LIBRARY}/{name}", _EPOCH)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = _FILE_MODE << 16
                    archive.writestr(entry, text)
            os.chmod(draft, _FILE_MODE)
            os.link(draft, target)  # refuses a file that has appeared meanwhile
        finally:
            os.unlink(draft)
    except OSError as error:
        raise InputError(f"expected a zip that can be written, received '{target}': {error.strerror}") from None


def check_zip(path: Path) -> None:
    """Refuses a path that a library cannot be written to.

    Raises:
        InputError: it is not named ``.zip``, exists, or its folder does not.
    """
    if path.suffix != ".zip":
        raise InputError(f"expected a library named .zip, received '{path}'")
    if os.path.lexists(path):
        raise InputError(f"expected a zip that does not exist yet, received '{path}': remove it or give another name")
    if not path.parent.is_dir():
        raise InputError(f"expected a folder that exists for '{path.name}', received '{path.parent}'")


def arduino_files(build: Build) -> dict[str, str]:
    """The files of the library: path below its folder -> text.

    Raises:
        InputError: the build is for the host, or fits no Arduino board.
        ToolchainError: as of `export_arduino`.
    """
    profile = build.device.profile
    if profile.is_host:
        raise InputError(
            "expected a build for a microcontroller, received one for the host: convert with --target nano33ble, say"
        )
    # Its build system hands the compiler the folder of headers alone: no source can include a file beside it.
    model = firmware(build, plain_c=True)
    samples, boards = _fitting(build, model)
    console = {name: text for name, text in build.files.items() if name.startswith("console/")}
    # One folder for all: a sketch's include path is src/ alone.
    sources = {}
    for path, text in {**model.files, **console}.items():
        name = Path(path).name
        if name.endswith((".c", ".cc")):
            text = _with_flags(text, profile.kernel_flags if path in model.kernels else profile.base_flags)
        sources[f"src/{name.removesuffix('.cc') + '.cpp' if name.endswith('.cc') else name}"] = text
    if model.interpreted:
        sources["src/tt_model.h"] = _with_arena(sources["src/tt_model.h"], model.arena_bytes)
    return {**sources, "LICENSE": _licence(), **rendered(_TEMPLATES, _settings(build, model, samples, boards))}


def _with_arena(header: str, arena_bytes: int) -> str:
    """The interface with the size of the arena, which Arduino has no place to define."""
    guard = "#define TT_MODEL_H\n"
    note = "/* Enough for pointers of 64 bits: tt_arena_used tells what is used, and less may do. */\n"
    return header.replace(guard, f"{guard}\n{note}#define TT_MODEL_ARENA_BYTES {arena_bytes}\n", 1)


def _with_flags(text: str, flags: Iterable[str]) -> str:
    """A source that brings its flags along: Arduino compiles every source with those of the core, -Os among them."""
    # The standard is the core's (gnu11); with a gnu standard GCC contracts by itself.
    chosen = [flag for flag in flags if not flag.startswith(("-std=", "-ffp-contract="))]
    options = ", ".join(f'"{flag.removeprefix("-f").removeprefix("-")}"' for flag in chosen)
    first, rest = text.split("\n", 1)
    return f"{first}\n#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC optimize({options})\n#endif\n{rest}"


def _fitting(build: Build, model: Firmware) -> tuple[int, list[ArduinoBoard]]:
    """How many samples the sketch that adapts can keep, five a class at most, and the boards that hold them.

    With a build for an Arduino board's device profile that board decides, else the roomiest of all.
    """
    flash_bytes = _flash_bytes(build, model) + _CONSOLE_CODE
    considered = [board for board in BOARDS if board.tflm or not model.interpreted]
    room = {b: _room(build, model, b) for b in considered if flash_bytes + b.core_flash <= b.flash}
    classes = int(build.simulation["classes"])
    wanted = _SAMPLES_PER_CLASS * classes
    own = next((board for board in BOARDS if board.device == build.device.name), None)
    if own is not None and own not in considered:
        raise InputError(
            "expected a build for a board that Arduino_TensorFlowLite knows "
            f"({', '.join(b.title for b in considered)}), received one for the {own.title}: "
            f"convert with --target {considered[0].device}, or without --backend tflm"
        )
    available = max(room.values(), default=-1) if own is None else room.get(own, -1)
    if available < classes:
        raise InputError(
            _refusal(
                build, model, considered, own, flash_bytes, [b for b, samples in room.items() if samples >= classes]
            )
        )
    samples = min(wanted, available)
    return samples, [board for board, most in room.items() if most >= samples]


def _flash_bytes(build: Build, model: Firmware) -> int:
    """Of the model and its runtime."""
    if model.interpreted:
        models = sum(len(content) for name, content in build.models.items() if "/" not in name)
        return models + _TFLM_CODE
    flash = build.report_data["flash_bytes"]
    if flash["code"] is None:  # not saved yet: the report compiles it, where the compiler is installed
        flash = build.report["flash_bytes"]
    return flash["weights"] + (flash["code"] or 0)


def _model_bytes(build: Build, model: Firmware) -> int:
    """RAM of the model: arena, row pool and session."""
    if model.interpreted:
        return model.ram_bytes + int(build.report_data["session_bytes"])
    return int(build.report_data["ram_bytes"])


def _room(build: Build, model: Firmware, board: ArduinoBoard) -> int:
    """Samples that the board can keep beside the core and the model; below 0 where these do not fit."""
    none, one = _sketch_bytes(build, model, 0), _sketch_bytes(build, model, 1)
    return (board.ram - board.core_ram - none) // (one - none)


def _sketch_bytes(build: Build, model: Firmware, samples: int) -> int:
    """RAM that the sketch that adapts declares: the model, the console with its line and losses, a sample as pixels and
    as floats, the samples it keeps with their labels, and the workspace of adaptation."""
    elements = math.prod(build.simulation["input_shape"])
    console = _CONSOLE_BYTES + 4 * int(build.simulation["classes"]) + _LINE_BYTES + 4 * _ITERATIONS
    kept = samples * (elements + 4) + _workspace_bytes(build, samples)
    return _model_bytes(build, model) + console + 5 * elements + kept


def _workspace_bytes(build: Build, samples: int) -> int:
    """TT_CONSOLE_WORKSPACE_BYTES."""
    embedding, classes = build.simulation["embedding_elements"], build.simulation["classes"]
    if not build.simulation["adaptable"]:
        return 4 * classes * (embedding + 1) if build.report_data["loss"] == "prototype" else 1
    floats = (
        2 * samples * embedding + classes * (embedding + 2) + embedding + math.prod(build.simulation["input_shape"])
    )
    return 4 * floats + 8 * samples


def _refusal(
    build: Build,
    model: Firmware,
    considered: list[ArduinoBoard],
    own: ArduinoBoard | None,
    flash_bytes: int,
    others: list[ArduinoBoard],
) -> str:
    classes = int(build.simulation["classes"])
    ram_bytes = _sketch_bytes(build, model, classes)
    board = own or max(considered, key=lambda board: board.ram)
    name = f"the {board.title}" if own else f"any Arduino board, the {board.title} being the largest"
    message = (
        f"expected a build that fits {name} with a sample of each class: at most "
        f"{board.ram - board.core_ram:,} B of RAM and {board.flash - board.core_flash:,} B of flash beside its core, "
        f"received {ram_bytes:,} B and {flash_bytes:,} B"
    )
    budget = board.ram - board.core_ram - (ram_bytes - build.report_data["ram_bytes"])
    cures = []
    if model.interpreted:
        cures.append("convert without --backend tflm, or give the training less memory")
    elif flash_bytes + board.core_flash <= board.flash and budget > 0:
        option = "convert with" if build.report_data["mode"] == "dynamic" else "train what tt-tflm plan finds for"
        cures.append(f"{option} --ram {budget // 1024}KB")
    else:
        cures.append("use a smaller model")
    cures += [f"or make it for a board that fits: {', '.join(b.title for b in others)}"] if others else []
    return f"{message}: {', '.join(cures)}"


def _settings(build: Build, model: Firmware, samples: int, boards: list[ArduinoBoard]) -> dict[str, Any]:
    report = build.report_data
    return {
        "version": importlib.metadata.version("tt-tflm"),
        "model": plain_name(report["model"]),
        "loss": report["loss"],
        "prototypes": report["loss"] == "prototype",
        "mode": report["mode"],
        "target": report["target"],
        "input_shape": build.simulation["input_shape"],
        "classes": build.simulation["classes"],
        "samples": samples,
        "line_bytes": _LINE_BYTES,
        "iterations": _ITERATIONS,
        "tflm": model.interpreted,
        # Tells the IDE which library to build along.
        "includes": ["TensorFlowLite.h"] if model.interpreted else [],
        "ram_bytes": _model_bytes(build, model),
        "weights_bytes": report["flash_bytes"]["weights"],
        "boards": boards,
        "architectures": list(dict.fromkeys(board.architecture for board in boards)),
    }


def _licence() -> str:
    """The licence of the runtime, beside the package in a checkout, in its metadata once installed."""
    checkout = Path(__file__).resolve().parents[3] / "LICENSE"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    for file in importlib.metadata.files("tt-tflm") or ():
        if file.name == "LICENSE":
            return file.read_text(encoding="utf-8")
    raise ToolchainError("expected the licence in the metadata of tt-tflm, received none: install tt-tflm again")
