# SPDX-License-Identifier: Apache-2.0
"""The targets a build can be made for: cores and devices, how code for them is compiled, and what fits them."""

from tt_tflm.devices import architectures
from tt_tflm.devices.catalogue import device_names, devices, get_device, get_profile
from tt_tflm.devices.cores import CORES, Architecture, Core, Toolchain, add_cores, core_names
from tt_tflm.devices.device import Device, RamRegion, device_from_json, read_device
from tt_tflm.devices.emulation import EmulatedBoard, Emulator, MemoryRegion
from tt_tflm.devices.placement import MemoryNeeds, place, place_build
from tt_tflm.devices.profiles import DeviceProfile

__all__ = [
    "CORES",
    "Architecture",
    "Core",
    "Device",
    "DeviceProfile",
    "EmulatedBoard",
    "Emulator",
    "MemoryNeeds",
    "MemoryRegion",
    "RamRegion",
    "Toolchain",
    "add_cores",
    "architectures",
    "core_names",
    "device_from_json",
    "device_names",
    "devices",
    "get_device",
    "get_profile",
    "place",
    "place_build",
    "read_device",
]
