# SPDX-License-Identifier: Apache-2.0
"""The exported library compiled as Arduino would: every source below src/ with the core's flags, src/ the one include
folder of the library, a sketch as C++ with Arduino.h in front."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from emit.workshop import run_quietly

SHIM = Path(__file__).parent / "arduino_shim"
TFLM_SHIM = Path(__file__).parent / "tflm_shim"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# What the mbed cores give every source (cflags.txt and cxxflags.txt of their variants).
_BOTH = (
    "-Os",
    "-fdata-sections",
    "-ffunction-sections",
    "-fmessage-length=0",
    "-fno-exceptions",
    "-fomit-frame-pointer",
    "-funsigned-char",
    "-mthumb",
)
_C = ("-std=gnu11", "-Wvla")
_CPP = ("-std=gnu++14", "-fno-rtti")
CORES = {
    "cortex-m4": ("-mcpu=cortex-m4", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"),
    "cortex-m0plus": ("-mcpu=cortex-m0plus",),
}
# ArduinoCore-API leaves to each core what is in its Arduino.h.
_CORE_HEADER = """
#include "api/ArduinoAPI.h"
#include "api/HardwareSerial.h"
using namespace arduino;
extern HardwareSerial &Serial;
constexpr pin_size_t A0 = 14, LED_BUILTIN = 13;
"""


@dataclass(frozen=True)
class Toolchain:
    """Compilers and their flags; ``includes`` are the core's folders."""

    c: str
    cpp: str
    flags: tuple[str, ...]
    c_flags: tuple[str, ...] = _C
    cpp_flags: tuple[str, ...] = _CPP
    includes: tuple[Path, ...] = (SHIM,)

    def objects(self, sources: Sequence[Path], library: Path, target: Path) -> list[Path]:
        """An object for each source, without a word from the compiler."""
        target.mkdir(parents=True, exist_ok=True)
        made = []
        for language, suffix in ((self.c, ".c"), (self.cpp, ".cpp")):
            chosen = [source for source in sources if source.suffix == suffix]
            if not chosen:
                continue
            own = self.c_flags if suffix == ".c" else self.cpp_flags
            # -isystem: the warnings of others' headers are theirs.
            includes = [f"-I{library / 'src'}", *(part for folder in self.includes for part in ("-isystem", folder))]
            run_quietly(language, *self.flags, *own, *WARNINGS, *includes, "-c", *chosen, cwd=target)
            made += [target / f"{source.stem}.o" for source in chosen]
        return made


def cross(core: str, folder: Path) -> Toolchain:
    """Arduino's flags for a core, against the API in ARDUINO_API (a checkout of ArduinoCore-API), else the shim; and
    against the TensorFlow Lite Micro in ARDUINO_TFLM (src/ of a checkout of its library), else the shim."""
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("not installed: arm-none-eabi-g++")
    includes: tuple[Path, ...] = (SHIM,)
    api = os.environ.get("ARDUINO_API")
    if api:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Arduino.h").write_text(f"#ifndef CORE_ARDUINO_H\n#define CORE_ARDUINO_H\n{_CORE_HEADER}#endif\n")
        includes = (folder, Path(api))
    # The header by which Arduino finds the library is the shim's in any case: that of the library wants its board.
    tflm = folder / "tflm"
    tflm.mkdir(parents=True, exist_ok=True)
    shutil.copy(TFLM_SHIM / "TensorFlowLite.h", tflm)
    includes = (*includes, tflm, Path(os.environ.get("ARDUINO_TFLM", TFLM_SHIM)))
    return Toolchain("arm-none-eabi-gcc", "arm-none-eabi-g++", (*CORES[core], *_BOTH), includes=includes)


def library_sources(library: Path) -> list[Path]:
    """What Arduino compiles of a library."""
    return sorted(path for path in (library / "src").rglob("*") if path.suffix in (".c", ".cpp"))


def sketch_source(library: Path, name: str, folder: Path) -> Path:
    """A sketch as the source that Arduino makes of it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (library / "examples" / name / f"{name}.ino").read_text()
    target = folder / f"{name}.cpp"
    target.write_text(f'#include <Arduino.h>\n#line 1 "{name}.ino"\n{text}')
    return target
