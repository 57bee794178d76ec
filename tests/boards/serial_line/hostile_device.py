# SPDX-License-Identifier: Apache-2.0
"""A board that answers as it likes, on a clock of its own: what `tt_tflm.Board` makes of it takes no real time."""

from __future__ import annotations

import base64
import itertools
import math
import termios
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import serial

from tt_tflm.boards.serial import line

ITERATIONS = 3
CLASSES = 3
READ_S = 0.01  # what a read takes at least, however much it brings


class Overrun(BaseException):
    """The host is still there after its limit. Not an Exception: nobody may take it for a fault of the port."""


@dataclass(frozen=True)
class Turn:
    """What the board makes of one request.

    Attributes:
        kind: the name of a method of `HostileDevice`, which says more.
        number: an index, a count or tenths of a second.
        text: in place of what belongs there.
    """

    kind: str = "honest"
    number: int = 0
    text: str = ""


@dataclass(frozen=True)
class Case:
    """A board, and what the host asks it.

    Attributes:
        honest: requests that are answered as they should be before `turns` begin; so are those after them.
        state_bytes, chunk_bytes: that the board tells of.
        pixels: whether it keeps them.
        read_bytes: the most that a read brings.
        bytes_per_s: what the line carries.
        commands: names of `COMMANDS`, in order.
    """

    honest: int
    turns: tuple[Turn, ...]
    state_bytes: int
    chunk_bytes: int
    pixels: bool
    read_bytes: int
    bytes_per_s: float
    commands: tuple[str, ...]


class HonestConsole:
    """The fields that a console answers a request with, and the lines before them (ops/console/tt_console.h)."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._kept = 0
        self._losses = 0

    def answer(self, words: list[str]) -> tuple[list[bytes], dict[str, object]]:
        before: list[bytes] = []
        case, command, first = self._case, words[0], int(words[1]) if words[1:] and words[1].isdigit() else 0
        if command == "status":
            return before, {
                "protocol": 1,
                "fingerprint": "c3fa1781f5d247af",
                "shape": "2,5",
                "format": "uint8" if case.pixels else "float32",
                "scale": "3c008081",
                "shift": "bf800000",
                "classes": CLASSES,
                "loss": "prototype",
                "mode": "dynamic",
                "adaptable": 1,
                "capacity": 9,
                "samples": self._kept,
                "iterations": 100,
                "losses": self._losses,
                "chunk": case.chunk_bytes,
                "state": case.state_bytes,
                "storage": case.state_bytes,
                "stage": "idle",
                "done": 0,
                "total": 0,
            }
        if command == "begin":
            return before, {"bytes": 10 if words[1] == "uint8" else 40}
        if command == "data":
            return before, {"bytes": first + len(base64.b64decode(words[2]))}
        if command == "enroll":
            self._kept += 1
            return before, {"samples": self._kept}
        if command == "predict":
            return before, {"class": 0, "scores": _encoded(np.arange(CLASSES, dtype="<f4").tobytes())}
        if command == "train":
            return before, {"loss": "3f800000"}
        if command == "adapt":
            self._losses = first
            before = [b"adapting %d/%d loss 1.0000\r\n" % (i + 1, first) for i in range(first)]
            return before, {"iterations": first, "loss": "3f800000"}
        if command in ("losses", "dump"):
            unit, place, total = (4, "first", self._losses) if command == "losses" else (1, "offset", case.state_bytes)
            left = max(0, min(total - first, case.chunk_bytes // unit)) * unit
            return before, {"total": total, place: first, "data": _encoded(bytes(left))}
        return before, {"bytes": case.state_bytes} if command in ("save", "load") else {}


class HostileDevice:
    """Stands in for pyserial's port: takes requests, and answers each as the case says."""

    def __init__(self, case: Case) -> None:
        self.clock = 0.0
        self.until = math.inf
        self._case = case
        self._console = HonestConsole(case)
        self._turns = itertools.chain([Turn()] * case.honest, case.turns, itertools.repeat(Turn()))
        self._progress: list[bytes] = []
        self._partial = bytearray()
        self._ready = bytearray()
        self._delayed: list[tuple[float, bytes]] = []
        self._endless: Iterator[bytes] | None = None
        self._gone: Exception | None = None

    # ---- what pyserial has ----

    @property
    def in_waiting(self) -> int:
        self._check()
        return len(self._ready)

    def read(self, count: int) -> bytes:
        self._check()
        for at, content in [entry for entry in self._delayed if entry[0] <= self.clock]:
            self._delayed.remove((at, content))
            self._ready += content
        while self._endless is not None and len(self._ready) < self._case.read_bytes:
            self._ready += next(self._endless)
        got = bytes(self._ready[: min(count, self._case.read_bytes)])
        del self._ready[: len(got)]
        if got:
            self.clock += max(READ_S, len(got) / self._case.bytes_per_s)
        else:
            self.clock = min([self.clock + line.POLL_S, *(at for at, _ in self._delayed)])
        return got

    def write(self, content: bytes) -> int:
        self._check()
        self.clock += len(content) / self._case.bytes_per_s
        self._partial += content
        while b"\n" in self._partial:
            request, _, rest = bytes(self._partial).partition(b"\n")
            self._partial = bytearray(rest)
            if request:
                turn = next(self._turns)
                words = request.decode("ascii")[:-9].split()
                self._progress, told = self._console.answer(words[1:])
                if turn.kind not in ("slowly", "silent"):
                    self._ready += b"".join(self._progress)
                getattr(self, f"_{turn.kind}")(turn, words[0], told)
        return len(content)

    def reset_output_buffer(self) -> None:
        self._check()

    def close(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.clock > self.until:
            raise Overrun(f"{self.clock - self.until:.3f} s after the limit")
        if self._gone is not None:
            raise self._gone

    # ---- turns ----

    def _say(self, text: str) -> None:
        content = text.encode("utf-8", "surrogatepass")
        self._ready += content + b"*%08x\r\n" % zlib.crc32(content)

    def _honest(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        self._say(" ".join(("!ok", sequence, *(f"{key}={value}" for key, value in told.items()))))

    def _changed(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """One field says something else."""
        keys = list(told) or ["bytes"]
        self._honest(turn, sequence, {**told, keys[turn.number % len(keys)]: turn.text})

    def _without(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """One field is missing."""
        left_out = list(told)[turn.number % len(told)] if told else None
        self._honest(turn, sequence, {key: value for key, value in told.items() if key != left_out})

    def _twice(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """A field is there twice, or what is no field."""
        self._say(f"!ok {sequence} {' '.join(f'{key}={value}' for key, value in told.items())} protocol={turn.text} =")

    def _anything(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """Some text, well framed."""
        self._say(f"!ok {sequence} {turn.text}")

    def _error(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        self._say(f"!error {turn.number} {sequence} {turn.text}")

    def _unread(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """The board could not read the request, it says."""
        self._say(f"!error {turn.number} {turn.text}")

    def _other_sequence(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        self._say(f"!ok #{turn.number}{turn.text}")

    def _noise(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        self._ready += turn.text.encode("utf-8", "surrogatepass") + bytes([turn.number % 256, 10])

    def _cut(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """The end of the answer is lost."""
        before = len(self._ready)
        self._honest(turn, sequence, told)
        del self._ready[before + turn.number % (len(self._ready) - before) :]

    def _late(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        before = len(self._ready)
        self._honest(turn, sequence, told)
        self._delayed.append((self.clock + turn.number / 10, bytes(self._ready[before:])))
        del self._ready[before:]

    def _slowly(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """Tells of progress, and a while after each line of more."""
        for i, told_so_far in enumerate(self._progress):
            self._delayed.append((self.clock + turn.number / 10 * (i + 1), told_so_far))
        self._late(Turn("late", turn.number * len(self._progress)), sequence, told)

    def _silent(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        pass

    def _chatters(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """Never stops to talk, and answers nothing."""
        ok = f"!ok #{turn.number} samples=1".encode()
        sources = (
            b"adapting 1/%d loss 0.5000\r\n" % ITERATIONS,
            b"inspecting 1/9\n",
            b"inspecting 99999999999/9\nadapting 3/2\nadapting 1/0\n",
            ok + b"*%08x\r\n" % zlib.crc32(ok),
            turn.text.encode("utf-8", "surrogatepass") + b"\n",
            b"no end of the line " * 100,
            b"\n",
            b"!ok #1*00000000\n",
        )
        self._endless = itertools.repeat(sources[turn.number % len(sources)])

    def _goes(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """The cable is pulled."""
        errors = (
            OSError(5, "Input/output error"),
            termios.error(5, "Input/output error"),
            serial.SerialException("device reports readiness to read but returned no data"),
            serial.SerialTimeoutException("Write timeout"),
            TypeError("'NoneType' object cannot be interpreted as an integer"),
            ValueError("filedescriptor out of range in select()"),
            OSError(5, f"\x1b[2J\r\n{turn.text}"),
        )
        self._gone = errors[turn.number % len(errors)]

    def _stuck(self, turn: Turn, sequence: str, told: dict[str, object]) -> None:
        """Takes no bytes any more: pyserial gives up after the time that it was given."""
        self.clock += line.WRITE_S
        raise serial.SerialTimeoutException("Write timeout")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
