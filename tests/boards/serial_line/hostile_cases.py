# SPDX-License-Identifier: Apache-2.0
"""What a host asks of hostile boards, what may come of it, and the cases that are drawn."""

from __future__ import annotations

import contextlib
import math
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from unittest import mock

import numpy as np
import serial
from hypothesis import strategies as st

import tt_tflm
from tt_tflm.boards.serial import fields, line

from .hostile_device import ITERATIONS, READ_S, Case, HostileDevice, Turn

TIMEOUT_S, ADAPT_TIMEOUT_S, LIMIT_S, ADAPT_LIMIT_S, RETRIES = 0.5, 1.0, 3.0, 6.0, 2
MOST_MEMORY_BYTES = 64 << 20
MOST_MESSAGE = 600


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
    device.until = device.clock + limit_s + line.POLL_S + line.WRITE_S + READ_S
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
