# SPDX-License-Identifier: Apache-2.0
"""How code for one target is compiled and simulated: what its core and its features come to.

This is the one place for optimisation flags: simulation, the emitted CMake project and measurements of code size
all take them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tt_tflm.devices.cores import Core, Feature, Toolchain
from tt_tflm.devices.emulation import EmulatedBoard, Emulator


@dataclass(frozen=True)
class DeviceProfile:
    """How code for one target is compiled and simulated.

    Attributes:
        name: of the core, or ``host``.
        isa: instruction sets, ``scalar`` among them.
        toolchain: that compiles for it.
        cpu_flags: core, FPU and float ABI; needed when compiling and when linking.
        base_flags: for every source that is not a kernel.
        kernel_flags: for kernel sources, in place of base_flags.
        board, emulator: what it is emulated on, and by; None where it is not.
        is_host: whether code for this target runs in the Python process.
    """

    name: str
    isa: frozenset[str]
    toolchain: Toolchain
    cpu_flags: tuple[str, ...]
    base_flags: tuple[str, ...]
    kernel_flags: tuple[str, ...]
    board: EmulatedBoard | None
    emulator: Emulator | None
    is_host: bool

    def compile_flags(self, *, kernel: bool) -> tuple[str, ...]:
        """All flags a source is compiled with for this target, include folders apart."""
        return self.cpu_flags + (self.kernel_flags if kernel else self.base_flags)


def profile_of(core: Core, features: Mapping[str, Feature]) -> DeviceProfile:
    """The profile of a core with those features."""
    architecture = core.architecture
    return DeviceProfile(
        name=core.name,
        isa=core.isa(features),
        toolchain=architecture.toolchain,
        cpu_flags=architecture.cpu_flags(core, features),
        base_flags=architecture.base_flags,
        kernel_flags=architecture.kernel_flags,
        board=core.board,
        emulator=architecture.emulator,
        is_host=architecture.is_host,
    )
