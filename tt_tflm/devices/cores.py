# SPDX-License-Identifier: Apache-2.0
"""The registry of cores. An architecture brings what its cores have in common: toolchain, flags, emulator.

One call adds cores, in a module of ``architectures/`` or anyone's::

    from tt_tflm.devices.cores import Architecture, Core, Toolchain, add_cores

    RV32 = Architecture(
        "rv32",
        isa=frozenset({"rv32"}),
        toolchain=Toolchain(("rv32-gcc",), "rv32-size", "rv32-ar", "gcc-riscv64-unknown-elf"),
        cpu_flags=lambda core, features: (f"-march={'rv32imfc' if features['fpu'] == 'single' else 'rv32imc'}",),
    )
    add_cores(Core("rv32imc", "any RV32IMC", RV32, {"fpu": ("none", "single")}))

Targets, the ``devices`` table, tilings of kernels, flags of CMake and of exports, and the commands of simulation
follow.
A module of an installed package is imported by itself if the entry point group ``tt_tflm.cores`` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tt_tflm.devices.emulation import EmulatedBoard, Emulator
from tt_tflm.errors import InputError
from tt_tflm.extensions.registry import Registry
from tvm_passes.kernels.tiling import SCALAR

Feature = str | bool
"""What a core has of an optional unit: a kind by name, or whether it is there."""

BASE_FLAGS = ("-std=c99", "-O2", "-fno-math-errno")
"""Every source that is not a kernel. Without -ffast-math: the runtime looks for NaN and infinity."""

KERNEL_FLAGS = ("-std=c99", "-O3", "-ffast-math")
"""Kernels, before an architecture adds its own."""

# Keys of a device's profile that no feature may bear.
_TAKEN = ("name", "title", "core", "flash_bytes", "ram", "qemu_machine")


@dataclass(frozen=True)
class Toolchain:
    """Commands that compile for an architecture.

    Attributes:
        compilers: drivers of GCC or Clang to look for, first found is used.
        size, ar: the tools that tell the sizes of sections and make archives.
        packages: Debian packages that bring them.
    """

    compilers: tuple[str, ...]
    size: str
    ar: str
    packages: str


@dataclass(frozen=True)
class Architecture:
    """What cores have in common.

    Attributes:
        name: of the architecture.
        isa: instruction sets that all of its cores have, beside ``scalar``.
        toolchain: that compiles for it.
        cpu_flags: core, its features -> the flags that say so, needed when compiling and when linking.
        base_flags: for every source that is not a kernel.
        kernel_flags: for kernel sources, in place of base_flags.
        emulator: that runs programs for it; None without one.
        is_host: whether code runs in the Python process.
    """

    name: str
    isa: frozenset[str]
    toolchain: Toolchain
    cpu_flags: Callable[[Core, Mapping[str, Feature]], tuple[str, ...]]
    base_flags: tuple[str, ...] = BASE_FLAGS
    kernel_flags: tuple[str, ...] = KERNEL_FLAGS
    emulator: Emulator | None = None
    is_host: bool = False


@dataclass(frozen=True)
class Core:
    """A core, as a target of which nothing but the instruction set is known.

    Attributes:
        name, title: short and long name.
        architecture: what it shares with others.
        features: what a device of this core has to tell: name -> what it may have, the usual first. What is True counts
            among the instruction sets.
        board: what it is emulated on; None without one.
    """

    name: str
    title: str
    architecture: Architecture
    features: Mapping[str, tuple[Feature, ...]] = field(default_factory=dict)
    board: EmulatedBoard | None = None

    def __post_init__(self) -> None:
        for name, choices in self.features.items():
            if name in _TAKEN or not name.isidentifier():
                raise InputError(f"core '{self.name}': expected a feature with a name of its own, received {name!r}")
            if not choices:
                raise InputError(f"core '{self.name}': feature '{name}': expected what it may be, received nothing")
        if self.board is not None and self.architecture.emulator is None:
            raise InputError(
                f"core '{self.name}': expected an architecture with an emulator for board '{self.board.machine}', "
                f"received '{self.architecture.name}' without one"
            )

    @property
    def usual(self) -> dict[str, Feature]:
        """The features that are meant where the core alone is named."""
        return {name: choices[0] for name, choices in self.features.items()}

    def isa(self, features: Mapping[str, Feature]) -> frozenset[str]:
        """The instruction sets of a core with those features."""
        return self.architecture.isa | {SCALAR} | {name for name, value in features.items() if value is True}


CORES: Registry[Core] = Registry("a core", "tt_tflm.cores")


def add_cores(*cores: Core) -> None:
    """Makes cores known.

    Raises:
        InputError: a name is malformed or taken.
    """
    for core in cores:
        CORES.add(core.name, core)


def core_names() -> tuple[str, ...]:
    """Names of the host and of the cores, the host first."""
    return tuple(sorted(CORES, key=lambda name: not CORES[name].architecture.is_host))
