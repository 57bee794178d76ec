# SPDX-License-Identifier: Apache-2.0
"""Boards at a serial line: the host's side of ops/console."""

from tt_tflm.boards.serial.board import Board
from tt_tflm.boards.serial.fields import BoardStatus

__all__ = ["Board", "BoardStatus"]
