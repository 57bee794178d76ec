# SPDX-License-Identifier: Apache-2.0
"""The host and the cores: compiler, its flags, and the emulated board each core is simulated on.

This is the one place for optimisation flags: simulation, the emitted CMake project and measurements of code size
all take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BASE_FLAGS = ("-std=c99", "-O2", "-fno-math-errno")
"""Every source that is not a kernel. Without -ffast-math: the runtime looks for NaN and infinity."""

HOST_KERNEL_FLAGS = ("-std=c99", "-O3", "-ffast-math", "-march=native")

# Reassociation and early scheduling would take the tiles of accumulators apart again and spill them; contraction is
# off under -std=c99 unless it is asked for.
CORTEX_M_KERNEL_FLAGS = (
    "-std=c99",
    "-O3",
    "-ffast-math",
    "-fno-tree-reassoc",
    "-fno-schedule-insns",
    "-ffp-contract=fast",
)

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True)
class MemoryRegion:
    """A run of memory: address of its first byte and its length, both in bytes."""

    origin: int
    length: int


@dataclass(frozen=True)
class SimulationTimer:
    """The timer that instructions are counted with; a tick is `tick_numerator / tick_denominator` instructions.

    `control` is the register that starts the timer, `count` the one that is read. A timer that counts down is a CMSDK
    APB timer (control is its base address), one that counts up the SSE system counter.
    """

    control: int
    count: int
    counts_down: bool
    tick_numerator: int
    tick_denominator: int


@dataclass(frozen=True)
class EmulatedBoard:
    """A QEMU machine and the memories the simulation uses on it.

    The vector table lies at `vectors`, code in `code`; weights, arena, row pool and stack share `data`. On a real
    board weights lie in flash: instruction counts do not depend on it. `uart` is the base address of a CMSDK APB UART,
    the first serial line of the emulator.
    """

    machine: str
    vectors: int
    code: MemoryRegion
    data: MemoryRegion
    timer: SimulationTimer
    uart: int


@dataclass(frozen=True)
class DeviceProfile:
    """How code for one target is compiled and simulated.

    Attributes:
        name: of the core, or ``host``.
        compilers: commands to look for, first found is used.
        cpu_flags: core, FPU and float ABI; needed when compiling and when linking.
        base_flags: for every source that is not a kernel.
        kernel_flags: for kernel sources, in place of base_flags.
        board: what it is emulated on; None for the host.
    """

    name: str
    compilers: tuple[str, ...]
    cpu_flags: tuple[str, ...] = ()
    base_flags: tuple[str, ...] = field(default=BASE_FLAGS)
    kernel_flags: tuple[str, ...] = field(default=CORTEX_M_KERNEL_FLAGS)
    board: EmulatedBoard | None = None

    @property
    def is_host(self) -> bool:
        """Whether code for this target runs in the Python process."""
        return self.board is None

    def compile_flags(self, *, kernel: bool) -> tuple[str, ...]:
        """All flags a source is compiled with for this target, include folders apart."""
        return self.cpu_flags + (self.kernel_flags if kernel else self.base_flags)


def _cortex_m(core: str, fpu_flags: tuple[str, ...], board: EmulatedBoard) -> DeviceProfile:
    return DeviceProfile(
        name=core,
        compilers=("arm-none-eabi-gcc",),
        cpu_flags=(f"-mcpu={core}", "-mthumb", *fpu_flags),
        board=board,
    )


def _cmsdk_timer(base: int, tick: int) -> SimulationTimer:
    return SimulationTimer(control=base, count=base + 4, counts_down=True, tick_numerator=tick, tick_denominator=1)


def _mps2(machine: str, psram: int) -> EmulatedBoard:
    """An MPS2 board without TrustZone: 4 MiB of SSRAM for code and 16 MiB of PSRAM; timers at 25 MHz."""
    return EmulatedBoard(
        machine=machine,
        vectors=0x0000_0000,
        code=MemoryRegion(0x0000_0400, 4 * MEBIBYTE - KIBIBYTE),
        data=MemoryRegion(psram, 16 * MEBIBYTE),
        timer=_cmsdk_timer(0x4000_0000, tick=40),
        uart=0x4000_4000,
    )


# The core starts in secure state, where SSRAM and timers are reached through their aliases with bit 28 set.
# The sibling mps2-an521 has two cores of which the first lacks an FPU.
_AN505 = EmulatedBoard(
    machine="mps2-an505",
    vectors=0x1000_0000,
    code=MemoryRegion(0x1000_0400, 4 * MEBIBYTE - KIBIBYTE),
    data=MemoryRegion(0x8000_0000, 16 * MEBIBYTE),
    timer=_cmsdk_timer(0x5000_0000, tick=50),
    uart=0x5020_0000,
)

# Vectors in ITCM, code in SRAM, everything else in DDR. The only CMSDK timer of this board runs at 32 kHz, so its
# 32 MHz system counter is used: 31.25 instructions a tick.
_AN547 = EmulatedBoard(
    machine="mps3-an547",
    vectors=0x0000_0000,
    code=MemoryRegion(0x0100_0000, 2 * MEBIBYTE),
    data=MemoryRegion(0x6000_0000, 64 * MEBIBYTE),
    timer=SimulationTimer(
        control=0x5810_0000, count=0x5810_0008, counts_down=False, tick_numerator=125, tick_denominator=4
    ),
    uart=0x5930_3000,
)

_PROFILES = {
    profile.name: profile
    for profile in (
        DeviceProfile(name="host", compilers=("cc", "gcc", "clang"), kernel_flags=HOST_KERNEL_FLAGS),
        _cortex_m("cortex-m3", ("-mfloat-abi=soft",), _mps2("mps2-an385", psram=0x2100_0000)),
        _cortex_m("cortex-m4", ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), _mps2("mps2-an386", psram=0x2100_0000)),
        _cortex_m("cortex-m7", ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), _mps2("mps2-an500", psram=0x6000_0000)),
        _cortex_m("cortex-m33", ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), _AN505),
        _cortex_m("cortex-m55", ("-mfloat-abi=hard",), _AN547),
    )
}


def core_names() -> tuple[str, ...]:
    """Names of the host and of the cores, the host first."""
    return tuple(_PROFILES)


def core_profile(name: str) -> DeviceProfile:
    """How code for the host or a core is compiled and simulated; name: one of `core_names`."""
    return _PROFILES[name]
