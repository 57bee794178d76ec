# SPDX-License-Identifier: Apache-2.0
"""The targets a build can be made for."""

from tt_tflm.devices.profiles import DeviceProfile, EmulatedBoard, MemoryRegion, device_names, get_profile

__all__ = ["DeviceProfile", "EmulatedBoard", "MemoryRegion", "device_names", "get_profile"]
