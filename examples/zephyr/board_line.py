# SPDX-License-Identifier: Apache-2.0
"""The sample's commands, over whatever carries lines to it and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import numpy as np

_CHUNK_BYTES = 64


class BoardLine:
    """A board that runs the sample.

    Args:
        stream_in: what the board sends.
        stream_out: what the board receives.
        show: called with every line that is meant for people.
    """

    def __init__(self, stream_in: BinaryIO, stream_out: BinaryIO, show: Callable[[str], None] = print) -> None:
        self._in = stream_in
        self._out = stream_out
        self._show = show

    def wait_until_ready(self) -> str:
        """Waits for the line with which the sample begins, and gives it."""
        while True:
            line = self._line()
            if line.startswith("tt-tflm: "):
                return line

    def command(self, line: str) -> str:
        """What the board answers, without ``!ok``.

        Raises:
            RuntimeError: it answers with an error.
        """
        self._out.write(f"{line}\n".encode())
        self._out.flush()
        while True:
            reply = self._line()
            if reply.startswith("!ok"):
                return reply.removeprefix("!ok").strip()
            if reply.startswith("!error"):
                raise RuntimeError(f"{line.split()[0]}: {reply.removeprefix('!error ')}")

    def enroll(self, x: np.ndarray, label: int) -> None:
        """Keeps a sample; x: uint8, of the model's input shape."""
        self._send(x)
        self.command(f"enroll {label}")

    def adapt(self, iterations: int) -> float:
        """Learns from what was enrolled; gives the loss of the last pass."""
        return float(_floats([self.command(f"adapt {iterations}")])[0])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scores of a sample to the last bit, float32; x as for `enroll`."""
        self._send(x)
        return _floats(self.command("predict").split()[1:])

    def _send(self, x: np.ndarray) -> None:
        pixels = np.ascontiguousarray(x, dtype=np.uint8).tobytes()
        for offset in range(0, len(pixels), _CHUNK_BYTES):
            self.command(f"data {offset} {pixels[offset : offset + _CHUNK_BYTES].hex()}")

    def _line(self) -> str:
        line = self._in.readline()
        if not line.endswith(b"\n"):
            raise RuntimeError("the board has stopped answering")
        text = line.decode("ascii", errors="replace").strip()
        if text and not text.startswith("!"):
            self._show(f"board: {text}")
        return text


def _floats(words: list[str]) -> np.ndarray:
    return np.frombuffer(b"".join(int(word, 16).to_bytes(4, "little") for word in words), dtype="<f4")
