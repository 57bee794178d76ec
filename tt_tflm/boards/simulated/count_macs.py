# SPDX-License-Identifier: Apache-2.0
"""Count the multiply-accumulates that a build really performs."""

from __future__ import annotations

import ctypes

import numpy as np

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.host import HostBoard
from tvm_passes.specs import VECTOR

_INSTRUMENTED = ("-DTT_COUNT_MACS", "-O1")


class _CountingBoard(HostBoard):
    def counted(self) -> int:
        """Multiply-accumulates since the library was loaded."""
        return int(ctypes.c_uint64.in_dll(self._library, "tt_mac_count").value)


def count_macs(files: SimulationFiles) -> dict[str, int]:
    """Multiply-accumulates of one ``predict`` and one ``train_step``, counted one by one in an instrumented host
    build."""
    about = files.description
    x = np.zeros(about["input_shape"], np.float32)
    label = np.zeros(about["label_elements"], np.float32) if about["label"] == VECTOR else 0
    with _CountingBoard(files, _INSTRUMENTED) as board:
        marks = [board.counted()]
        if about["prototypes"] is not None:
            board.enroll(x, 0)
            marks = [board.counted()]
        for call in (lambda: board.predict(x), lambda: board.train_step(x, label)):
            call()
            marks.append(board.counted())
    return {"predict": marks[1] - marks[0], "train_step": marks[2] - marks[1]}
