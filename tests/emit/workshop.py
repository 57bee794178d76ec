# SPDX-License-Identifier: Apache-2.0
"""Compilers, and saved builds compiled by them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tt_tflm.devices import core_names, get_profile

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-Wvla")
CORES = tuple(name for name in core_names() if not get_profile(name).is_host)
COMPILERS: dict[str, tuple[str, ...]] = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    **{core: (get_profile(core).toolchain.compilers[0], *get_profile(core).cpu_flags) for core in CORES},
}
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
SANITIZED = ("-std=gnu99", "-O0", *SANITIZERS)
# What the model is made of; the rest of a build's sources is the device runtime, the same in every build.
MODEL_SOURCES = ("tt_model_kernels.c", "tt_model.c", "tt_model_weights.c")


def need(*tools: str) -> None:
    """Skip where a tool is missing."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def run_quietly(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed and say nothing on standard error."""
    result = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


@dataclass(frozen=True)
class SavedBuild:
    """A build on disk."""

    folder: Path

    @property
    def include(self) -> str:
        return f"-I{self.folder / 'include'}"

    @property
    def sources(self) -> list[Path]:
        """As sources.txt lists them."""
        return [self.folder / line for line in (self.folder / "sources.txt").read_text().splitlines()]

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def compile(self, compiler: str, target: Path, *flags: str, sources: list[Path] | None = None) -> list[Path]:
        """Objects of the sources (all of them unless given), without a word from the compiler."""
        command = COMPILERS[compiler]
        need(command[0])
        target.mkdir(parents=True, exist_ok=True)
        sources = self.sources if sources is None else sources
        run_quietly(*command, *flags, self.include, "-c", *sources, cwd=target)
        return [target / f"{source.stem}.o" for source in sources]

    def model_sources(self) -> list[Path]:
        return [source for source in self.sources if source.name in MODEL_SOURCES]
