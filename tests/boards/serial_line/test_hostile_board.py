# SPDX-License-Identifier: Apache-2.0
"""Boards that answer as they like: a result or one line of DeviceError, in bounded time and memory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import select
import threading
import time
import tracemalloc
import tty
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings

import tt_tflm
from tt_tflm.boards.serial.fields import MOST_STATE_BYTES, BoardStatus, Fields
from tt_tflm.boards.serial.line import LONGEST_LINE

from .hostile_cases import (
    ADAPT_LIMIT_S,
    ADAPT_TIMEOUT_S,
    CASES,
    MOST_MEMORY_BYTES,
    RETRIES,
    TIMEOUT_S,
    VALUES,
    Figures,
    open_board,
    port_of,
    run,
    traced,
)
from .hostile_device import ITERATIONS, Case, HonestConsole, HostileDevice, Turn

HONEST = Case(
    honest=1,
    turns=(),
    state_bytes=100,
    chunk_bytes=42,
    pixels=True,
    read_bytes=4096,
    bytes_per_s=1e8,
    commands=(),
)


# tests/fuzz/serial.py runs as many cases as one likes.
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES)
def test_a_result_or_one_line_in_bounded_time_and_memory(case):
    run(case, Figures())


def test_every_field_of_a_status_has_a_range():
    _, told = HonestConsole(HONEST).answer(["status"])
    texts = {key: str(value) for key, value in told.items()}
    assert isinstance(Fields("status", texts).status(), BoardStatus)
    read = set(texts) - {"losses", "chunk", "stage", "done", "total"}
    for key in read:
        with pytest.raises(tt_tflm.DeviceError, match=f"status: expected {key}"):
            Fields("status", {k: v for k, v in texts.items() if k != key}).status()
        refused = 0
        for value in VALUES:
            try:
                Fields("status", {**texts, key: value}).status()
            except tt_tflm.DeviceError as error:
                assert str(error).isprintable() and len(str(error)) < 200
                refused += 1
        assert refused > len(VALUES) // 2, key


@pytest.mark.parametrize(
    ("turn", "message", "least_s", "most_s"),
    [
        (Turn("slowly", 9), None, 2.7, 3.0),
        (Turn("silent"), "adapt .*, silence for 1 s", 3.0, 3.5),
        (Turn("chatters", 4, "boot"), "adapt .*, nothing that answers for 1 s", 3.0, 3.5),
        (Turn("chatters", 2), "adapt .*, nothing that answers for 1 s", 3.0, 3.5),
        (Turn("chatters", 5), "adapt .*, nothing that answers for 1 s", 3.0, 3.5),
        (Turn("chatters", 0), "end within adapt_limit_s = 6 s.*raise adapt_limit_s", 6.0, 6.2),
    ],
)
def test_progress_extends_the_wait_and_nothing_extends_the_limit(turn, message, least_s, most_s):
    assert (TIMEOUT_S, ADAPT_TIMEOUT_S, ADAPT_LIMIT_S, RETRIES) == (0.5, 1.0, 6.0, 2)
    device = HostileDevice(dataclasses.replace(HONEST, turns=(turn,) * (1 + RETRIES)))
    seen = []
    with port_of(device), open_board() as board:
        began = device.clock
        with contextlib.nullcontext() if message is None else pytest.raises(tt_tflm.DeviceError, match=message):
            board.adapt(ITERATIONS, progress=lambda *shown: seen.append(shown))
        assert least_s <= device.clock - began <= most_s
    assert (message is None) <= (seen == [("adapting", i + 1, ITERATIONS) for i in range(ITERATIONS)])


@pytest.mark.parametrize("size", [MOST_STATE_BYTES, MOST_STATE_BYTES + 1, 2**32 - 1])
def test_a_dump_takes_as_much_memory_as_a_state_may(size):
    device = HostileDevice(dataclasses.replace(HONEST, state_bytes=size, chunk_bytes=1 << 16))
    with port_of(device), tt_tflm.Board("hostile", limit_s=1e6) as board, traced():
        if size == MOST_STATE_BYTES:
            assert len(board.dump()) == size
        else:
            with pytest.raises(
                tt_tflm.DeviceError, match=f"dump on hostile: expected total from 1 to 16777216.*{size}"
            ):
                board.dump()
        assert tracemalloc.get_traced_memory()[1] <= MOST_MEMORY_BYTES


def test_a_line_without_an_end_takes_no_more_memory_than_the_longest():
    device = HostileDevice(dataclasses.replace(HONEST, honest=0, turns=(Turn("chatters", 5),)))
    with port_of(device), traced():
        with pytest.raises(tt_tflm.DeviceError, match="nothing that answers for 10 s"):
            tt_tflm.Board("hostile", timeout_s=10.0, retries=0)
        # In that time a thousand reads bring 4 MiB.
        assert tracemalloc.get_traced_memory()[1] < 8 * LONGEST_LINE


@contextlib.contextmanager
def at_a_terminal(behave: Callable[[int, threading.Event], None]) -> Iterator[str]:
    """A port at whose other end a thread behaves until the event; it is given the descriptor, and closes it."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    ended = threading.Event()
    thread = threading.Thread(target=behave, args=(ours, ended))
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        ended.set()
        thread.join()
        os.close(theirs)


def test_a_cable_that_is_pulled():
    def pull(descriptor: int, ended: threading.Event) -> None:
        select.select([descriptor], [], [], 10.0)  # until the host asks
        os.close(descriptor)

    with (
        at_a_terminal(pull) as port,
        pytest.raises(tt_tflm.DeviceError, match=r"serial port failed: .*: connect the board and open the port again"),
    ):
        tt_tflm.Board(port)


def test_a_terminal_that_only_chatters():
    def chatter(descriptor: int, ended: threading.Event) -> None:
        while not ended.wait(0.001):
            with contextlib.suppress(BlockingIOError):
                os.write(descriptor, b"adapting 1/40 loss 1.0\r\n" * 20)
        os.close(descriptor)

    with at_a_terminal(chatter) as port:
        began = time.monotonic()
        with pytest.raises(tt_tflm.DeviceError, match=r"within limit_s = 0\.3 s"):
            tt_tflm.Board(port, timeout_s=0.2, limit_s=0.3)
        assert time.monotonic() - began < 5


@pytest.fixture
def nodes(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["", "file", "fifo", "none", "none/" * 2000, "[/b]\x1b[31m\r\n", "/dev/null", "socket://", "alt://"]
)
def test_what_is_no_serial_port(name, nodes):
    port = name if name.startswith("/") or "://" in name else str(nodes / name)
    with pytest.raises(tt_tflm.DeviceError, match="expected a serial port that can be opened, received ") as refused:
        tt_tflm.Board(port)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 600


def test_a_port_that_may_not_be_opened(monkeypatch):
    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("serial.serialposix.os.open", refuse)
    with pytest.raises(tt_tflm.DeviceError, match=r"received /dev/ttyACM0: .*Permission denied"):
        tt_tflm.Board("/dev/ttyACM0")


@pytest.mark.parametrize("port", ["/dev/tty\0", "/dev/\ud800", "gopher://board", ""])
def test_what_can_be_no_port(port):
    with pytest.raises(tt_tflm.InputError, match="expected the name of a serial port") as refused:
        tt_tflm.Board(port)
    assert str(refused.value).isprintable()
