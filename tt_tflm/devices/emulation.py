# SPDX-License-Identifier: Apache-2.0
"""What emulates a core: a system emulator, one of its machines, and which of that machine's parts simulation uses."""

from __future__ import annotations

from dataclasses import dataclass


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
class Emulator:
    """QEMU for one architecture, and what every program for it is linked with.

    Attributes:
        command: to look for.
        packages: Debian packages that bring it.
        startup: sources of ops/sim that know the architecture: reset, semihosting, painting the stack.
        timing: likewise, for counting the instructions of a call.
        linker_script: of ops/sim.
        options: that a program's semihosting needs.
    """

    command: str
    packages: str
    startup: tuple[str, ...]
    timing: tuple[str, ...]
    linker_script: str
    options: tuple[str, ...] = ("-semihosting-config", "enable=on,target=native")
