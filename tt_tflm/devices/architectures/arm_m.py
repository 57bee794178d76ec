# SPDX-License-Identifier: Apache-2.0
"""Arm's M-profile: Cortex-M cores, arm-none-eabi-gcc, and the MPS boards that QEMU emulates them on."""

from __future__ import annotations

from collections.abc import Mapping

from tt_tflm.devices.cores import KERNEL_FLAGS, Architecture, Core, Feature, Toolchain, add_cores
from tt_tflm.devices.emulation import EmulatedBoard, Emulator, MemoryRegion, SimulationTimer
from tvm_passes.kernels.tiling import THUMB

_KIBIBYTE = 1024
_MEBIBYTE = 1024 * _KIBIBYTE
_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
# As -mfpu calls them. The FPU of a core that is not listed is the one that -mcpu stands for.
_FPUS = {
    ("cortex-m4", "single"): "fpv4-sp-d16",
    ("cortex-m7", "single"): "fpv5-sp-d16",
    ("cortex-m7", "double"): "fpv5-d16",
    ("cortex-m33", "single"): "fpv5-sp-d16",
}
_EXTENSIONS = ("dsp", "mve")


def _cpu_flags(core: Core, features: Mapping[str, Feature]) -> tuple[str, ...]:
    # GCC takes it that a core has what it may have.
    optional = [name for name in _EXTENSIONS if len(core.features.get(name, ())) > 1]
    lacking = "".join(f"+no{name}" for name in optional if not features[name])
    flags = (f"-mcpu={core.name}{lacking}", "-mthumb")
    fpu = features.get("fpu", "none")
    if fpu == "none":
        return (*flags, "-mfloat-abi=soft")
    unit = _FPUS.get((core.name, str(fpu)))
    return (*flags, "-mfloat-abi=hard", *([f"-mfpu={unit}"] if unit else []))


ARM_M = Architecture(
    "arm-m",
    isa=frozenset({THUMB}),
    toolchain=Toolchain(("arm-none-eabi-gcc",), "arm-none-eabi-size", "arm-none-eabi-ar", _PACKAGES),
    cpu_flags=_cpu_flags,
    # Reassociation and early scheduling would take the tiles of accumulators apart again and spill them; contraction is
    # off under -std=c99 unless it is asked for. With one region registers are given out for a whole function: tiles
    # that just fit keep their weights.
    kernel_flags=(*KERNEL_FLAGS, "-fno-tree-reassoc", "-fno-schedule-insns", "-ffp-contract=fast", "-fira-region=one"),
    emulator=Emulator(
        command="qemu-system-arm",
        packages=_PACKAGES,
        startup=("tt_sim_start.c", "tt_sim_semihost.c", "tt_sim_paint.c"),
        timing=("tt_sim_timed_call.S",),
        linker_script="tt_sim.ld",
    ),
)


def _cmsdk_timer(base: int, tick: int) -> SimulationTimer:
    return SimulationTimer(control=base, count=base + 4, counts_down=True, tick_numerator=tick, tick_denominator=1)


def _mps2(machine: str, psram: int) -> EmulatedBoard:
    """An MPS2 board without TrustZone: 4 MiB of SSRAM for code and 16 MiB of PSRAM; timers at 25 MHz."""
    return EmulatedBoard(
        machine=machine,
        vectors=0x0000_0000,
        code=MemoryRegion(0x0000_0400, 4 * _MEBIBYTE - _KIBIBYTE),
        data=MemoryRegion(psram, 16 * _MEBIBYTE),
        timer=_cmsdk_timer(0x4000_0000, tick=40),
        uart=0x4000_4000,
    )


# The core starts in secure state, where SSRAM and timers are reached through their aliases with bit 28 set.
# The sibling mps2-an521 has two cores of which the first lacks an FPU.
_AN505 = EmulatedBoard(
    machine="mps2-an505",
    vectors=0x1000_0000,
    code=MemoryRegion(0x1000_0400, 4 * _MEBIBYTE - _KIBIBYTE),
    data=MemoryRegion(0x8000_0000, 16 * _MEBIBYTE),
    timer=_cmsdk_timer(0x5000_0000, tick=50),
    uart=0x5020_0000,
)

# Vectors in ITCM, code in SRAM, everything else in DDR. The only CMSDK timer of this board runs at 32 kHz, so its
# 32 MHz system counter is used: 31.25 instructions a tick.
_AN547 = EmulatedBoard(
    machine="mps3-an547",
    vectors=0x0000_0000,
    code=MemoryRegion(0x0100_0000, 2 * _MEBIBYTE),
    data=MemoryRegion(0x6000_0000, 64 * _MEBIBYTE),
    timer=SimulationTimer(
        control=0x5810_0000, count=0x5810_0008, counts_down=False, tick_numerator=125, tick_denominator=4
    ),
    uart=0x5930_3000,
)


def _cortex_m(
    name: str, extras: str, fpu: tuple[str, ...], dsp: tuple[bool, ...], mve: tuple[bool, ...], board: EmulatedBoard
) -> Core:
    return Core(name, f"any Cortex-{name[7:].upper()}{extras}", ARM_M, {"fpu": fpu, "dsp": dsp, "mve": mve}, board)


add_cores(
    _cortex_m("cortex-m3", "", ("none",), (False,), (False,), _mps2("mps2-an385", psram=0x2100_0000)),
    _cortex_m("cortex-m4", " with FPU", ("single", "none"), (True,), (False,), _mps2("mps2-an386", psram=0x2100_0000)),
    _cortex_m(
        "cortex-m7",
        " with FPU",
        ("single", "double", "none"),
        (True,),
        (False,),
        _mps2("mps2-an500", psram=0x6000_0000),
    ),
    _cortex_m("cortex-m33", " with FPU and DSP", ("single", "none"), (True, False), (False,), _AN505),
    _cortex_m("cortex-m55", " with FPU and MVE", ("double", "none"), (True,), (True, False), _AN547),
)
