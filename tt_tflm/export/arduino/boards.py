# SPDX-License-Identifier: Apache-2.0
"""The boards that an exported Arduino library may say it runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArduinoBoard:
    """A board, its memory in bytes.

    Attributes:
        architecture: as library.properties names it.
        title: for people.
        ram, flash: what the core's boards.txt lets a sketch use (upload.maximum_data_size, upload.maximum_size).
        core_ram: what the core takes of it at run time: its variables, stacks, drivers, USB.
        core_flash: likewise, code.
        device: name of the built-in device profile; None without one.
        tflm: whether the library Arduino_TensorFlowLite knows it.
    """

    architecture: str
    title: str
    ram: int
    flash: int
    core_ram: int
    core_flash: int
    device: str | None = None
    tflm: bool = False


# An empty sketch with Serial on the mbed core (linked for the Nano RP2040 Connect) takes 99 KB of flash and 43 KB of
# RAM, 32 KB of it the stack of the main thread; USB and drivers allocate more when they start.
_MBED = (64 * 1024, 128 * 1024)
_RENESAS = (12 * 1024, 64 * 1024)

BOARDS = (
    ArduinoBoard("mbed_nano", "Nano 33 BLE (Sense)", 262_144, 983_040, *_MBED, device="nano33ble", tflm=True),
    ArduinoBoard("mbed_nano", "Nano RP2040 Connect", 270_336, 16_777_216, *_MBED),
    ArduinoBoard("mbed_rp2040", "Raspberry Pi Pico", 270_336, 2_097_152, *_MBED),
    ArduinoBoard("mbed_nicla", "Nicla Vision", 523_624, 1_966_080, *_MBED),
    ArduinoBoard("mbed_giga", "GIGA R1", 523_624, 1_966_080, *_MBED),
    ArduinoBoard("mbed_opta", "Opta", 523_624, 1_966_080, *_MBED),
    ArduinoBoard("mbed_portenta", "Portenta H7", 523_624, 786_432, *_MBED, device="portenta-h7"),
    ArduinoBoard("renesas_portenta", "Portenta C33", 523_624, 2_097_152, *_RENESAS),
    ArduinoBoard("renesas_uno", "UNO R4", 32_768, 262_144, *_RENESAS),
)
"""A refusal names those that fit in this order."""
