# SPDX-License-Identifier: Apache-2.0
"""The kernels compile without a warning for every target, also without GNU C, and are clean under sanitisers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tt_tflm.devices import get_profile

from .library import INCLUDES, OPS, SOURCES, WARNINGS

CHECKS = Path(__file__).parent / "kernel_checks.c"
HEADERS = sorted((OPS / "kernels/include").glob("tt_*.h"))
CROSS = {name: get_profile(name) for name in ("cortex-m3", "cortex-m7")}
COMMANDS = {
    "gcc": ("gcc", "-O0"),
    "clang": ("clang", "-O0"),
    "cortex-m3": ("arm-none-eabi-gcc", *CROSS["cortex-m3"].cpu_flags, "-O0"),
    "cortex-m7": ("arm-none-eabi-gcc", *CROSS["cortex-m7"].compile_flags(kernel=True)),
}


def compile_quietly(*command: str | Path, folder: Path | None = None) -> None:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"not installed: {command[0]}")
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_kernels_have_no_warnings(name, tmp_path):
    command, *flags = COMMANDS[name]
    compile_quietly(command, *WARNINGS, *flags, *INCLUDES, "-c", *SOURCES, folder=tmp_path)


def test_kernels_need_no_gnu_c(tmp_path):
    # What a compiler sees that knows no GNU C: the portable forms of pairs and tiles. System headers come before.
    source = tmp_path / "plain.c"
    for kernel in SOURCES:
        headers = "".join(f"#include <{name}.h>\n" for name in ("float", "math", "stdbool", "stdint", "string"))
        source.write_text(f'{headers}#undef __GNUC__\n#include "{kernel}"\n')
        compile_quietly("gcc", "-O0", *WARNINGS, *INCLUDES, "-c", source, "-o", tmp_path / "out.o")


@pytest.mark.parametrize("language", ["c", "c++"])
def test_headers_stand_alone(language, tmp_path):
    flags = WARNINGS if language == "c" else ("-std=c++17", *WARNINGS[1:])
    for header in HEADERS:
        source = tmp_path / "includes.c"
        source.write_text(f'#include "{header.name}"\n#include "{header.name}"\ntypedef int used;\n')
        compile_quietly("gcc", "-x", language, *flags, *INCLUDES, "-c", source, "-o", tmp_path / "out.o")


def test_kernels_are_clean_under_sanitisers(tmp_path):
    program = tmp_path / "checks"
    sanitisers = ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    compile_quietly("clang", *sanitisers, *WARNINGS, *INCLUDES, CHECKS, *SOURCES, "-lm", "-o", program)
    result = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
