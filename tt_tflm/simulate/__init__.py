# SPDX-License-Identifier: Apache-2.0
"""Simulation of a build: in this process, or on an emulated Cortex-M."""

from tt_tflm.devices import get_profile
from tt_tflm.simulate.adaptive_board import AdaptiveBoard
from tt_tflm.simulate.board import Board, RowLayer, SimulationFiles
from tt_tflm.simulate.host import HostBoard
from tt_tflm.simulate.qemu import QemuBoard

__all__ = ["AdaptiveBoard", "Board", "HostBoard", "QemuBoard", "RowLayer", "SimulationFiles", "open_board"]


def open_board(files: SimulationFiles, device: str = "host") -> AdaptiveBoard:
    """A board with this build on it.

    Args:
        files: the build.
        device: name of a target; see `tt_tflm.devices.device_names`.

    Raises:
        InputError: there is no such target, or simulation.json belongs to another build.
        ToolchainError: a compiler or the emulator is missing or failed.
        DeviceError: the emulator did not start.
    """
    return HostBoard(files) if get_profile(device).is_host else QemuBoard(files, device)
