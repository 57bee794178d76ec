# SPDX-License-Identifier: Apache-2.0
"""Count the multiply-accumulates that a build really performs."""

from __future__ import annotations

import ctypes

import numpy as np

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.host import HostBoard

_INSTRUMENTED = ("-DTT_COUNT_MACS", "-O1")


class _CountingBoard(HostBoard):
    def counted(self) -> int:
        """Multiply-accumulates since the library was loaded."""
        return int(ctypes.c_uint64.in_dll(self._library, "tt_mac_count").value)


def count_macs(files: SimulationFiles) -> dict[str, int]:
    """Multiply-accumulates of one ``predict`` and one ``train_step``, counted one by one in an instrumented host
    build."""
    x = np.zeros(files.description["input_shape"], np.float32)
    with _CountingBoard(files, _INSTRUMENTED) as board:
        marks = [board.counted()]
        if files.description["prototypes"] is not None:
            board.enroll(x, 0)
            marks = [board.counted()]
        for call in (lambda: board.predict(x), lambda: board.train_step(x, 0)):
            call()
            marks.append(board.counted())
    return {"predict": marks[1] - marks[0], "train_step": marks[2] - marks[1]}
