# SPDX-License-Identifier: Apache-2.0
"""A board at the other end of a serial line, driven by the console protocol of ops/console/tt_console.h."""

from tt_tflm.serial.board import Board, BoardStatus

__all__ = ["Board", "BoardStatus"]
