# SPDX-License-Identifier: Apache-2.0
"""The sources of a build that a firmware compiles, of either backend, and the memory that they want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tt_tflm.build.artefact import Build
from tt_tflm.emit.c.library import kernel_source
from tt_tflm.emit.c.weight_files import Weights, weight_assembly, weight_source
from tt_tflm.emit.runtime import alias_header
from tt_tflm.emit.source_files import SOURCE_SUFFIXES
from tt_tflm.emit.tflm.session import model_array
from tt_tflm.errors import InputError, ToolchainError
from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite.op_params import FISHER, TRAIN

_FOLDERS = ("include/", "src/", "tflm/")
_NAME = "tt_model"
_BYTES_A_LINE = 24


@dataclass(frozen=True)
class Firmware:
    """What is compiled.

    Args:
        files: the model and its runtime: path below the build's folder -> text; for TensorFlow Lite Micro with the
            models as arrays.
        binary: the weights, where one of the files includes them from `weight_binary`.
        kernels: of the files those that are compiled with the kernels' flags.
        arena_bytes: of ``tt_init``; with TensorFlow Lite Micro enough for a machine with pointers of 64 bits.
        row_pool_bytes: of ``tt_init``.
        interpreted: whether it links TensorFlow Lite Micro.
    """

    files: Mapping[str, str]
    kernels: tuple[str, ...]
    arena_bytes: int
    row_pool_bytes: int
    interpreted: bool
    binary: Weights | None = None

    @property
    def sources(self) -> list[str]:
        """What is compiled of the files."""
        return sorted(name for name in self.files if name.endswith(SOURCE_SUFFIXES))

    @property
    def ram_bytes(self) -> int:
        """Arena and row pool."""
        return self.arena_bytes + self.row_pool_bytes


def firmware(build: Build, *, plain_c: bool = False) -> Firmware:
    """The sources of a build.

    Args:
        build: of either backend.
        plain_c: whether weights have to be C text, for build systems that find no file which a source includes.

    Raises:
        InputError: it is of the backend ``tflm``, and of a version that had no sources around its models.
        ToolchainError: it is of the backend ``tflm``, and the wheel is missing that tells how large the arena is.
    """
    files = {name: text for name, text in build.files.items() if name.startswith(_FOLDERS)}
    report, symbol = build.report_data, str(build.simulation["symbol"])
    if symbol != _NAME:  # by which the exports' own sources know the model
        files[f"include/{_NAME}.h"] = alias_header(symbol, files[f"include/{symbol}.h"], _NAME)
    if build.backend == "c":
        binary = build.binary
        if binary is not None and plain_c:
            files.pop(weight_assembly(symbol), None)
            files[weight_source(symbol)] = "".join(binary.source())
            binary = None
        arena, row_pool = report["arena_bytes"], report["row_pool_bytes"]
        return Firmware(files, (kernel_source(symbol),), arena, row_pool, interpreted=False, binary=binary)
    if "lists_bytes" not in build.simulation:
        raise InputError("expected a build with include/tt_model.h, received one without: convert again")
    for name in (TRAIN, FISHER):
        if name in build.models:
            array = model_array(symbol, name)
            files[f"src/{array}.c"] = _array(array, build.models[name])
    names = {path.name for path in (ops_path() / "kernels" / "src").glob("*.c")}
    kernels = tuple(sorted(name for name in files if Path(name).name in names))
    arena = report.get("tflm_firmware_arena_bytes") or build.report["tflm_firmware_arena_bytes"]
    if arena is None:
        raise ToolchainError(
            "expected the tflite-micro wheel, which tells how large the arena is, received none: "
            "pip install 'tt-tflm[tflm]'"
        )
    return Firmware(files, kernels, arena, build.simulation["lists_bytes"], interpreted=True)


def _array(name: str, content: bytes) -> str:
    rows = (content[i : i + _BYTES_A_LINE] for i in range(0, len(content), _BYTES_A_LINE))
    lines = "".join(f"    {', '.join(map(str, row))},\n" for row in rows)
    return (
        "/* SPDX-License-Identifier: Apache-2.0 */\n#include <stdint.h>\n\n"
        f"extern const uint8_t {name}[];\n"
        f"const uint8_t {name}[{len(content)}] __attribute__((aligned(16))) = {{\n{lines}}};\n"
    )
