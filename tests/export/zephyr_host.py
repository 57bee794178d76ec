# SPDX-License-Identifier: Apache-2.0
"""Applications of an exported Zephyr module on the host: Kconfig by kconfiglib, the kernel by the shim."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import kconfiglib
import pytest

SHIM = Path(__file__).parent / "zephyr_shim"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# Later versions of Zephyr compile as C17, with GNU's extensions where the user says so.
FLAGS = ("-std=gnu17", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def configure(
    module: Path, *, chosen: str = "", labels: str = "storage_partition", **values: str
) -> kconfiglib.Kconfig:
    """The module's Kconfig with some symbols set, for a board with these chosen nodes and node labels."""
    environment = {
        "MODULE": str(module),
        "TT_SHIM_CHOSEN": chosen,
        "TT_SHIM_LABELS": labels,
        "KCONFIG_FUNCTIONS": "kconfigfunctions",
        "KCONFIG_WARN_UNDEF": "y",
    }
    saved, path = dict(os.environ), list(sys.path)
    try:
        os.environ.update(environment)
        sys.path.insert(0, str(SHIM))
        config = kconfiglib.Kconfig(str(SHIM / "Kconfig"), warn_to_stderr=False)
    finally:
        os.environ.clear()
        os.environ.update(saved)
        sys.path[:] = path
    for name, value in values.items():
        assert config.syms[name].set_value(value)
    assert config.warnings == []
    return config


def sources_of(module: Path, config: kconfiglib.Kconfig) -> list[Path]:
    """What zephyr/CMakeLists.txt compiles under this configuration."""
    folder = module / "zephyr"
    text = (folder / "CMakeLists.txt").read_text().replace("${TINYTRAIN_DIR}", str(module))
    sources: list[Path] = []
    for call in text.split("zephyr_library_sources")[1:]:
        words = call.split("(", 1)[1].split(")", 1)[0].split()
        if call.startswith("_ifdef"):
            symbol = words.pop(0).removeprefix("CONFIG_")
            if config.syms[symbol].str_value != "y":
                continue
        sources += [folder / word for word in words]
    return sources


def include_folders_of(module: Path) -> list[Path]:
    """Where zephyr/CMakeLists.txt has headers looked for."""
    folder = module / "zephyr"
    text = (folder / "CMakeLists.txt").read_text().replace("${CMAKE_CURRENT_LIST_DIR}", str(folder))
    calls = re.findall(r"include_directories\(([^)]*)\)", text.replace("${TINYTRAIN_DIR}", str(module)))
    return [Path(word) for call in calls for word in call.split()]


def definitions_of(module: Path, config: kconfiglib.Kconfig) -> list[str]:
    """What zephyr/CMakeLists.txt defines under this configuration, for the compiler."""
    text = (module / "zephyr" / "CMakeLists.txt").read_text()
    valued = re.findall(r"zephyr_compile_definitions\((\w+)=\$\{CONFIG_(\w+)\}\)", text)
    switched = re.findall(r"zephyr_library_compile_definitions_ifdef\(CONFIG_(\w+) (\w+)\)", text)
    return [
        *(f"-D{name}={config.syms[symbol].str_value}" for name, symbol in valued),
        *(f"-D{name}" for symbol, name in switched if config.syms[symbol].str_value == "y"),
    ]


def build(
    module: Path,
    application: str,
    config: kconfiglib.Kconfig,
    folder: Path,
    *,
    only: re.Pattern[str] | None = None,
    objects: Sequence[Path] = (),
    beside: Sequence[Path] = (),
) -> Path:
    """The program of an application of the module, compiled without a word from the compiler.

    Args:
        only: names of the module's C sources to compile; None for all.
        objects: what is made of its other sources.
        beside: sources of the application beside its own.
    """
    if shutil.which("gcc") is None:
        pytest.skip("not installed: gcc")
    folder.mkdir()
    header = folder / "autoconf.h"
    config.write_autoconf(str(header))
    own = include_folders_of(module)
    includes = [*(f"-I{path}" for path in (SHIM, *own)), *definitions_of(module, config)]
    chosen = [s for s in sources_of(module, config) if s.suffix == ".c" and (only is None or only.match(s.name))]
    # The model knows nothing else of the configuration: one compilation serves all applications.
    model = [source for source in chosen if source.parent == module / "src"]
    compiled = module.parent / f"model_objects_{'pulses' if '-DTT_PULSES' in includes else 'plain'}"
    if not compiled.exists():
        compiled.mkdir()
        _gcc(*includes, "-c", *model, cwd=compiled)
    sources = [
        *(source for source in chosen if source not in model),
        *(compiled / f"{source.stem}.o" for source in model),
        *sorted((module / application / "src").glob("*.c")),
        *beside,
        *sorted(SHIM.glob("*.c")),
    ]
    program = folder / "zephyr.exe"
    libraries = ["-lm", "-lpthread", *(["-lstdc++"] if objects else [])]
    _gcc("-imacros", header, *includes, *sources, *objects, *libraries, "-o", program)
    return program


def _gcc(*arguments: str | Path, cwd: Path | None = None) -> None:
    command = ["gcc", *FLAGS, *WARNINGS, *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


@contextmanager
def started(program: Path, flash: Path) -> Iterator[str]:
    """The program on a board with this flash; gives its serial port. Ended as by a cut of power."""
    environment = {**os.environ, "TT_SHIM_FLASH": str(flash), "ASAN_OPTIONS": "detect_leaks=0"}
    board, host = os.openpty()
    try:
        tty.setraw(host)
        with subprocess.Popen([str(program)], stdin=board, stdout=board, env=environment) as process:
            try:
                yield os.ttyname(host)
            finally:
                process.kill()
    finally:
        os.close(board)
        os.close(host)
