# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal between host and board that damages what it carries."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import threading
import tty
from collections.abc import Iterator


@contextlib.contextmanager
def noisy_line(board: str, share: float, seed: int = 0) -> Iterator[tuple[str, dict[str, int]]]:
    """A port that leads to another one: a byte is lost, changed or doubled with probability `share`.

    Yields:
        The port, and how many bytes were carried and damaged so far.
    """
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    other = os.open(board, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(other)
    # What nobody reads is dropped, as by a UART.
    for descriptor in (ours, other):
        os.set_blocking(descriptor, False)
    counts = {"carried": 0, "damaged": 0}
    draw = random.Random(seed)
    ended = threading.Event()

    def damaged(content: bytes) -> bytes:
        carried = bytearray()
        for byte in content:
            counts["carried"] += 1
            if draw.random() >= share:
                carried.append(byte)
                continue
            counts["damaged"] += 1
            carried += draw.choice((b"", bytes([draw.randrange(256)]), bytes([byte, byte])))
        return bytes(carried)

    def carry() -> None:
        ways = {ours: other, other: ours}
        while not ended.is_set():
            for source in select.select(list(ways), [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    os.write(ways[source], damaged(os.read(source, 4096)))

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield os.ttyname(theirs), counts
    finally:
        ended.set()
        thread.join()
        for descriptor in (ours, theirs, other):
            os.close(descriptor)
