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

from tt_tflm.build import Build
from tt_tflm.emit.c_library import KERNEL_SOURCE
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.export.arduino_boards import BOARDS, ArduinoBoard
from tt_tflm.export.backend import need_c_backend
from tt_tflm.export.render import rendered

LIBRARY = "TinyTrain"
"""Name of the library, its folder and its header; a sketchbook holds one model at a time."""

_TEMPLATES = Path(__file__).parent / "templates" / "arduino"
_SAMPLES_PER_CLASS = 5
_LINE_BYTES = 256  # TT_CONSOLE_LINE_BYTES
_ITERATIONS = 100
# Measured for Cortex-M4 and -M0+ and rounded up; a test compares.
_CONSOLE_BYTES = 384  # a tt_console_t without its scores, and small variables
_CONSOLE_CODE = 12 * 1024  # console, class and sketch: the report counts the model's code alone
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold: the same build gives the same bytes
_FILE_MODE = 0o644


def export_arduino(build: Build, path: str | Path) -> None:
    """Write a library to a zip that does not exist yet; on any error nothing is left behind.

    Raises:
        InputError: the build is for the host or fits no Arduino board, or the zip exists, is not named ``.zip`` or
            cannot be written.
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
        InputError: the build is of the backend ``tflm`` or for the host, or fits no Arduino board.
    """
    need_c_backend(build)
    profile = build.device.profile
    if profile.is_host:
        raise InputError(
            "expected a build for a microcontroller, received one for the host: convert with --target nano33ble, say"
        )
    samples, boards = _fitting(build)
    # One folder for all: a sketch's include path is src/ alone.
    sources = {
        Path(name).name: text for name, text in build.files.items() if name.startswith(("include/", "src/", "console/"))
    }
    for name, text in sources.items():
        if name.endswith(".c"):
            is_kernel = name == Path(KERNEL_SOURCE).name
            sources[name] = _with_flags(text, profile.kernel_flags if is_kernel else profile.base_flags)
    return {
        **{f"src/{name}": text for name, text in sources.items()},
        "LICENSE": _licence(),
        **rendered(_TEMPLATES, _settings(build, samples, boards)),
    }


def _with_flags(text: str, flags: Iterable[str]) -> str:
    """A source that brings its flags along: Arduino compiles every source with those of the core, -Os among them."""
    # The standard is the core's (gnu11); with a gnu standard GCC contracts by itself.
    chosen = [flag for flag in flags if not flag.startswith(("-std=", "-ffp-contract="))]
    options = ", ".join(f'"{flag.removeprefix("-f").removeprefix("-")}"' for flag in chosen)
    first, rest = text.split("\n", 1)
    return f"{first}\n#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC optimize({options})\n#endif\n{rest}"


def _fitting(build: Build) -> tuple[int, list[ArduinoBoard]]:
    """How many samples the sketch that adapts can keep, five a class at most, and the boards that hold them.

    With a build for an Arduino board's device profile that board decides, else the roomiest of all.
    """
    flash = build.report_data["flash_bytes"]
    if flash["code"] is None:  # not saved yet: the report compiles it, where the compiler is installed
        flash = build.report["flash_bytes"]
    flash_bytes = flash["weights"] + (flash["code"] or 0) + _CONSOLE_CODE
    room = {board: _room(build, board) for board in BOARDS if flash_bytes + board.core_flash <= board.flash}
    classes = int(build.simulation["classes"])
    wanted = _SAMPLES_PER_CLASS * classes
    own = next((board for board in BOARDS if board.device == build.device.name), None)
    available = max(room.values(), default=-1) if own is None else room.get(own, -1)
    if available < classes:
        raise InputError(_refusal(build, own, flash_bytes, [b for b, samples in room.items() if samples >= classes]))
    samples = min(wanted, available)
    return samples, [board for board, most in room.items() if most >= samples]


def _room(build: Build, board: ArduinoBoard) -> int:
    """Samples that the board can keep beside the core and the model; below 0 where these do not fit."""
    left = board.ram - board.core_ram - _sketch_bytes(build, 0)
    return left // (_sketch_bytes(build, 1) - _sketch_bytes(build, 0))


def _sketch_bytes(build: Build, samples: int) -> int:
    """RAM that the sketch that adapts declares: the model, the console with its line and losses, a sample as pixels and
    as floats, the samples it keeps with their labels, and the workspace of adaptation."""
    elements = math.prod(build.simulation["input_shape"])
    console = _CONSOLE_BYTES + 4 * int(build.simulation["classes"]) + _LINE_BYTES + 4 * _ITERATIONS
    kept = samples * (elements + 4) + _workspace_bytes(build, samples)
    return int(build.report_data["ram_bytes"]) + console + 5 * elements + kept


def _workspace_bytes(build: Build, samples: int) -> int:
    """TT_MODEL_ADAPT_WORKSPACE_BYTES."""
    if not build.simulation["adaptable"]:
        return 0
    embedding, classes = build.simulation["embedding_elements"], build.simulation["classes"]
    floats = 2 * samples * embedding + classes * (embedding + 2) + embedding + math.prod(build.simulation["input_shape"])
    return 4 * floats + 8 * samples


def _refusal(build: Build, own: ArduinoBoard | None, flash_bytes: int, others: list[ArduinoBoard]) -> str:
    classes = int(build.simulation["classes"])
    ram_bytes = _sketch_bytes(build, classes)
    board = own or max(BOARDS, key=lambda board: board.ram)
    name = f"the {board.title}" if own else f"any Arduino board, the {board.title} being the largest"
    message = (
        f"expected a build that fits {name} with a sample of each class: at most "
        f"{board.ram - board.core_ram:,} B of RAM and {board.flash - board.core_flash:,} B of flash beside its core, "
        f"received {ram_bytes:,} B and {flash_bytes:,} B"
    )
    budget = board.ram - board.core_ram - (ram_bytes - build.report_data["ram_bytes"])
    cures = []
    if flash_bytes + board.core_flash <= board.flash and budget > 0:
        option = "convert with" if build.report_data["mode"] == "dynamic" else "train what tt-tflm plan finds for"
        cures.append(f"{option} --ram {budget // 1024}KB")
    else:
        cures.append("use a smaller model")
    cures += [f"or make it for a board that fits: {', '.join(b.title for b in others)}"] if others else []
    return f"{message}: {', '.join(cures)}"


def _settings(build: Build, samples: int, boards: list[ArduinoBoard]) -> dict[str, Any]:
    report = build.report_data
    return {
        "version": importlib.metadata.version("tt-tflm"),
        "model": report["model"],
        "loss": report["loss"],
        "prototypes": report["loss"] == "prototype",
        "mode": report["mode"],
        "target": report["target"],
        "input_shape": build.simulation["input_shape"],
        "classes": build.simulation["classes"],
        "samples": samples,
        "line_bytes": _LINE_BYTES,
        "iterations": _ITERATIONS,
        "ram_bytes": report["ram_bytes"],
        "weights_bytes": report["flash_bytes"]["weights"],
        "boards": boards,
        "architectures": list(dict.fromkeys(board.architecture for board in boards)),
    }


def _licence() -> str:
    """The licence of the runtime, beside the package in a checkout, in its metadata once installed."""
    checkout = Path(__file__).resolve().parents[2] / "LICENSE"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    for file in importlib.metadata.files("tt-tflm") or ():
        if file.name == "LICENSE":
            return file.read_text(encoding="utf-8")
    raise ToolchainError("expected the licence in the metadata of tt-tflm, received none: install tt-tflm again")
