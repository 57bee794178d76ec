# SPDX-License-Identifier: Apache-2.0
"""Requests and answers over a line that may lose or change bytes: each request is performed once."""

from __future__ import annotations

import random
from collections.abc import Callable

from tt_tflm.boards.serial.frames import Answer, Damaged, read_answer, request
from tt_tflm.boards.serial.line import SerialLine
from tt_tflm.errors import DeviceError


class Exchange:
    """The host's end of a console.

    Args:
        line: to the board.
        timeout_s: longest silence before a request is sent again.
        retries: how often, after which the board counts as gone.
    """

    def __init__(self, line: SerialLine, timeout_s: float, retries: int) -> None:
        self._line = line
        self._timeout_s = timeout_s
        self._retries = retries
        # Not from 0: the board still knows the last number of whoever was here before.
        self._sequence = random.SystemRandom().randrange(1, 2**31)

    def ask(self, *words: object, silence_s: float | None = None, heard: Callable[[str], None] | None = None) -> Answer:
        """Has a request performed, once, however often it has to be sent.

        Args:
            words: command and arguments.
            silence_s: longest silence, in place of timeout_s, where the board takes long.
            heard: called with each line for people.

        Raises:
            DeviceError: no answer; or the board refuses.
        """
        if not self._line.is_open:
            raise DeviceError("expected an open board, received one that is closed: open the port again")
        self._sequence = self._sequence % (2**32 - 1) + 1
        frame = request(self._sequence, *words)
        reason = ""
        for attempt in range(1 + self._retries):
            # What is left of a damaged line on the board ends here.
            self._line.send(b"\n" + frame if attempt else frame)
            try:
                answer = self._await(silence_s or self._timeout_s, heard)
            except Damaged as damage:
                reason = f"the line damages what it carries ({damage})"
                continue
            if answer is None:
                reason = f"silence for {silence_s or self._timeout_s:g} s"
                continue
            if answer.code:
                raise DeviceError(f"{words[0]} on {self._line.port}: {answer.message()}")
            return answer
        raise DeviceError(
            f"{words[0]} on {self._line.port}: no answer after {1 + self._retries} attempts, {reason}: is the console "
            "running there, at this baud rate?"
        )

    def _await(self, silence_s: float, heard: Callable[[str], None] | None) -> Answer | None:
        while True:
            line = self._line.read_line(silence_s)
            if line is None:
                return None
            if not line.startswith(b"!"):
                if heard is not None:
                    heard(line.decode("ascii", errors="replace"))
                continue
            answer = read_answer(line)
            if answer.tells_damage:
                raise Damaged(f"the board says: {answer.text}")
            # An earlier request's answer, which came after it had been sent again, is passed over.
            if answer.sequence == self._sequence:
                return answer
