# SPDX-License-Identifier: Apache-2.0
"""A board that answers as it likes, on a clock of its own: what `tt_tflm.Board` makes of it takes no real time."""

from __future__ import annotations

import base64
import contextlib
import itertools
import math
import termios
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from unittest import mock

import numpy as np
import serial
from hypothesis import strategies as st

import tt_tflm
from tt_tflm.boards.serial import fields, line

TIMEOUT_S, ADAPT_TIMEOUT_S, LIMIT_S, ADAPT_LIMIT_S, RETRIES = 0.5, 1.0, 3.0, 6.0, 2
MOST_MEMORY_BYTES = 64 << 20
MOST_MESSAGE = 600
ITERATIONS = 3
CLASSES = 3
_READ_S = 0.01  # what a read takes at least, however much it brings


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
            self.clock += max(_READ_S, len(got) / self._case.bytes_per_s)
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


# ---- what is asked, and what may come of it ----


def _sample(board: tt_tflm.Board) -> np.ndarray:
    shape = board.status().input_shape
    # A board may tell of any shape within the range; this is about lines, not about large arrays.
    return np.zeros(shape if math.prod(shape) <= 1000 else (2, 5), np.uint8)


def _is_state(state: object) -> bool:
    return isinstance(state, bytes) and 0 < len(state) <= fields.MOST_STATE_BYTES


def _is_status(about: tt_tflm.boards.serial.BoardStatus) -> bool:
    return (
        about.fingerprint.isalnum()
        and 0 < math.prod(about.input_shape) <= fields.MOST_INPUT_ELEMENTS
        and all(map(math.isfinite, about.input_scaling))
        and 0 < about.classes <= fields.MOST_CLASSES
        and 0 <= about.samples <= about.capacity < 2**32
    )


# Name: what is called, whether a result is one, and which limit holds.
COMMANDS: dict[str, tuple[Callable[[tt_tflm.Board], object], Callable[[object], bool], float]] = {
    "status": (lambda board: board.status(), _is_status, LIMIT_S),
    "enroll": (lambda board: board.enroll(_sample(board), 0), lambda result: result is None, 2 * LIMIT_S),
    "predict": (
        lambda board: board.predict(_sample(board)),
        lambda scores: scores.dtype == np.float32 and scores.ndim == 1 and bool(np.isfinite(scores).all()),
        2 * LIMIT_S,
    ),
    "train_step": (lambda board: board.train_step(_sample(board), 0), math.isfinite, 2 * LIMIT_S),
    "adapt": (
        lambda board: board.adapt(ITERATIONS, progress=lambda stage, done, total: None),
        lambda done: len(done.losses) == ITERATIONS and all(map(math.isfinite, done.losses)),
        ADAPT_LIMIT_S,
    ),
    "cancel": (lambda board: board.cancel(), lambda result: result is None, LIMIT_S),
    "forget_prototypes": (lambda board: board.forget_prototypes(), lambda result: result is None, LIMIT_S),
    "save": (lambda board: board.save(), _is_state, LIMIT_S),
    "load": (lambda board: board.load(), lambda result: result is None, LIMIT_S),
    "dump": (lambda board: board.dump(), _is_state, LIMIT_S),
    "reset": (lambda board: board.reset(), lambda result: result is None, LIMIT_S),
}

VALUES = (
    *("", "0", "1", "-1", "2", "5", "4294967295", "4294967296", "16777216", "9" * 30, "9" * 5000),
    *("1e9", "0x10", "1_0", "\u0661", "1.0", "7f800000", "7fc00000", "ff7fffff", "3f80000", "ZZZZZZZZ"),
    *("AAAA", "AAAA" * 3, "AA=", "====", "A" * 70000, "AACAfwAAgH8AAIB/"),
    *("1,2,3", "0,5", "65536,65536", "1," * 40 + "1", ",", "float64", "softmax", "\x1b[31m", "\x07", "a\nb", "x=y"),
)
_KINDS = (
    *("honest", "changed", "without", "twice", "anything", "error", "unread", "other_sequence", "noise", "cut"),
    *("late", "slowly", "silent", "chatters", "goes", "stuck"),
)
_TURNS = st.builds(
    Turn,
    st.sampled_from(_KINDS),
    st.one_of(st.integers(0, 120), st.integers(0, 2**33)),
    st.one_of(st.sampled_from(VALUES), st.text(max_size=12)),
)
CASES = st.builds(
    Case,
    honest=st.integers(0, 8),
    turns=st.lists(_TURNS, max_size=5).map(tuple),
    state_bytes=st.sampled_from((100, 1, 0, 4096, 1 << 24, (1 << 24) + 1, 2**32 - 1)),
    chunk_bytes=st.sampled_from((42, 3, 162, 1 << 16)),
    pixels=st.booleans(),
    read_bytes=st.sampled_from((512, 1, 4096)),
    bytes_per_s=st.sampled_from((11520.0, 1e8)),
    commands=st.lists(st.sampled_from(tuple(COMMANDS)), min_size=1, max_size=3).map(tuple),
)


@dataclass
class Figures:
    """What came of the cases so far."""

    cases: int = 0
    results: int = 0
    device_errors: int = 0
    input_errors: int = 0
    most_late_s: float = 0.0
    most_memory_bytes: int = 0


def open_board() -> tt_tflm.Board:
    """The board at `port_of`, with the limits that the cases are judged by."""
    return tt_tflm.Board(
        "hostile",
        retries=RETRIES,
        timeout_s=TIMEOUT_S,
        adapt_timeout_s=ADAPT_TIMEOUT_S,
        limit_s=LIMIT_S,
        adapt_limit_s=ADAPT_LIMIT_S,
    )


@contextlib.contextmanager
def port_of(device: HostileDevice) -> Iterator[None]:
    """Whoever opens a port meanwhile gets the device, and its clock."""
    with (
        mock.patch.object(line, "time", SimpleNamespace(monotonic=lambda: device.clock)),
        mock.patch.object(serial, "serial_for_url", lambda *arguments, **options: device),
    ):
        yield


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Counts what is allocated meanwhile."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def run(case: Case, figures: Figures) -> None:
    """Asks a board what the case says; raises AssertionError, or what escapes, where the host does not stand it."""
    figures.cases += 1
    device = HostileDevice(case)
    with port_of(device), traced():
        board = _asked(device, figures, LIMIT_S, open_board)
        for command in case.commands if board is not None else ():
            call, is_result, limit_s = COMMANDS[command]
            result = _asked(device, figures, limit_s, lambda call=call: (call(board),))
            assert result is None or is_result(result[0]), (command, result)
        if board is not None:
            device.until = math.inf
            board.close()


def _asked(device: HostileDevice, figures: Figures, limit_s: float, call: Callable[[], object]) -> object:
    """The result of a call, or None where it was refused as it may be."""
    device.until = device.clock + limit_s + line.POLL_S + line.WRITE_S + _READ_S
    end = device.clock + limit_s
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        result = call()
        figures.results += 1
    except (tt_tflm.DeviceError, tt_tflm.InputError) as error:
        result = None
        message = str(error)
        assert message.isascii() and message.isprintable() and len(message) <= MOST_MESSAGE, message
        if isinstance(error, tt_tflm.InputError):
            # The board tells of another sample, or of fewer iterations, than it is given.
            assert message.startswith(("expected x of ", "adapt: expected iterations ")), message
            figures.input_errors += 1
        else:
            figures.device_errors += 1
    memory = tracemalloc.get_traced_memory()[1] - before
    assert memory <= MOST_MEMORY_BYTES, memory
    figures.most_late_s = max(figures.most_late_s, device.clock - end)
    figures.most_memory_bytes = max(figures.most_memory_bytes, memory)
    return result
