# SPDX-License-Identifier: Apache-2.0
"""The device runtime, the console and the simulation's own sources, copied into every build so that it stands alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tt_tflm.emit.text import LICENCE
from tt_tflm.errors import InputError
from tt_tflm.files.ops_path import ops_path

_HEADERS = (".h",)
# Folder of ops/ -> folder of the build, for headers and for sources.
_COMMON = {"include": ("include", ""), "src": ("src", "src"), "console": ("console", "console"), "sim": ("sim", "sim")}
_C = {**_COMMON, "engine": ("include", "src")}
_TFLM = {
    **_COMMON,
    "kernels/include": ("include", ""),
    "kernels/src": ("src", "src"),
    "tflm": ("tflm", "tflm"),
    "tflm/interpreter": ("tflm", "tflm"),
}
_SUFFIXES = (".h", ".c", ".cc", ".S", ".ld")


def runtime_files(backend: str, own: Iterable[str | Path]) -> dict[str, str]:
    """What a build contains beside its model: path below the build folder -> text.

    Args:
        backend: ``c`` or ``tflm``.
        own: C sources of a loss or an optimiser: those that are paths come from outside of the package.

    Raises:
        InputError: one of them cannot be read, or has the name of another source.
    """
    files = {}
    for folder, (headers, sources) in (_TFLM if backend == "tflm" else _C).items():
        for path in sorted((ops_path() / folder).iterdir()):
            if path.is_file() and path.suffix in _SUFFIXES:
                target = headers if path.suffix in _HEADERS else sources
                files[f"{target}/{path.name}"] = path.read_text(encoding="utf-8")
    for source in own:
        name = f"src/{Path(source).name}"
        if isinstance(source, str) and name in files:
            continue
        if name in files:
            raise InputError(f"expected a source whose name the runtime has not, received '{source}': rename it")
        try:
            files[name] = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"expected a C source of a loss or an optimiser, received '{source}': {error}") from None
    return files


def alias_header(symbol: str, header: str, name: str) -> str:
    """A header for sources that are the same for every build: the model as `name`, its macros as TT_MODEL_...

    Args:
        symbol: of the build.
        header: text of its header.
        name: for the model; of the header's guard as well.
    """
    lines = [f'#include "{symbol}.h"', f"#define {name} {symbol}"]
    prefix = f"#define {symbol.upper()}_"
    if symbol.upper() != "TT_MODEL":
        names = [line.removeprefix(prefix).split()[0] for line in header.splitlines() if line.startswith(prefix)]
        lines += [f"#define TT_MODEL_{name} {symbol.upper()}_{name}" for name in names if name != "H"]
    text = "\n".join(lines)
    guard = f"{name.upper()}_H"
    return f"{LICENCE}#ifndef {guard}\n#define {guard}\n\n{text}\n\n#endif /* {guard} */\n"
