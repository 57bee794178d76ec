# SPDX-License-Identifier: Apache-2.0
"""Simulation of a build: in this process, or on an emulated core."""

from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
from tt_tflm.boards.simulated.board import Board, RowLayer, SimulationFiles
from tt_tflm.boards.simulated.host import HostBoard
from tt_tflm.boards.simulated.qemu import QemuBoard
from tt_tflm.boards.simulated.tflm import DEVICE, TflmBoard
from tt_tflm.devices import get_profile
from tt_tflm.errors import InputError

__all__ = ["AdaptiveBoard", "Board", "HostBoard", "QemuBoard", "RowLayer", "SimulationFiles", "TflmBoard", "open_board"]


def open_board(files: SimulationFiles, device: str = "host") -> AdaptiveBoard:
    """A board with this build on it.

    Args:
        files: the build.
        device: name of a target; see `tt_tflm.devices.device_names`; or ``tflm``, for builds of that backend.

    Raises:
        InputError: there is no such target, the build is of the other backend, or simulation.json belongs to another
            build.
        ToolchainError: a compiler or the emulator is missing or failed.
        DeviceError: the emulator did not start.
    """
    is_tflm = files.description.get("backend") == "tflm"
    if device == DEVICE or is_tflm:
        if device != DEVICE:
            get_profile(device)
            raise InputError(f"expected device '{DEVICE}' for a build of backend 'tflm', received '{device}'")
        if not is_tflm:
            raise InputError(f"expected a build of backend 'tflm' for device '{DEVICE}', received one of backend 'c'")
        return TflmBoard(files)
    return HostBoard(files) if get_profile(device).is_host else QemuBoard(files, device)
