# SPDX-License-Identifier: Apache-2.0
"""The registrations compile without a warning for a Cortex-M7 and on the host, and need nothing but the kernels."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tt_tflm.devices import get_profile
from tt_tflm.files.ops_path import ops_path

OPS = ops_path()
SOURCES = sorted((OPS / "tflm").glob("*.cc"))
INCLUDES = tuple(f"-I{OPS / folder}" for folder in ("include", "kernels/include", "tflm"))
LANGUAGE = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
COMMANDS = {
    "cortex-m7": ("arm-none-eabi-gcc", *get_profile("cortex-m7").cpu_flags, "-O2"),
    "gcc": ("gcc", "-O1"),
    "clang": ("clang", "-O1"),
}


@pytest.mark.parametrize("compiler", COMMANDS)
def test_registrations_have_no_warnings_and_call_kernels_alone(compiler, tmp_path):
    command = COMMANDS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"not installed: {command[0]}")
    names = set()
    for source in SOURCES:
        target = tmp_path / f"{source.stem}.o"
        arguments = [*command, *LANGUAGE, *INCLUDES, "-c", source, "-o", target]
        result = subprocess.run(arguments, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, ""), source.name
        if compiler == "cortex-m7":
            names |= undefined(target)
    others = {name for name in names if not name.startswith(("tt_", "_ZN9tinytrain", "_ZNK9tinytrain", "__aeabi"))}
    assert others <= {"memcpy", "memset", "powf"}


def undefined(target: Path) -> set[str]:
    """Symbols that an object takes from elsewhere."""
    output = subprocess.run(["arm-none-eabi-nm", "-u", target], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in output.splitlines()}
