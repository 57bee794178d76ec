# SPDX-License-Identifier: Apache-2.0
"""Requests and answers over a line that may lose or change bytes: each request is performed once, in bounded time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tt_tflm.boards.serial.fields import Fields
from tt_tflm.boards.serial.frames import Answer, Damaged, read_answer, request
from tt_tflm.boards.serial.line import SerialLine
from tt_tflm.errors import DeviceError, shown


@dataclass(frozen=True)
class Deadline:
    """When a call is over, whatever the board sends.

    Attributes:
        at: on the clock of the line.
        limit_s: what the caller allows, in seconds.
        setting: the name under which the caller does.
    """

    at: float
    limit_s: float
    setting: str


class Exchange:
    """The host's end of a console.

    Args:
        line: to the board.
        timeout_s: longest wait for an answer before a request is sent again.
        retries: how often, after which the board counts as gone.
    """

    def __init__(self, line: SerialLine, timeout_s: float, retries: int) -> None:
        self._line = line
        self._timeout_s = timeout_s
        self._retries = retries
        # Not from 0: the board still knows the last number of whoever was here before.
        self._sequence = random.SystemRandom().randrange(1, 2**31)

    def deadline(self, limit_s: float, setting: str) -> Deadline:
        """The end of a call that begins now."""
        return Deadline(self._line.now() + limit_s, limit_s, setting)

    def ask(
        self,
        deadline: Deadline,
        *words: object,
        wait_s: float | None = None,
        heard: Callable[[bytes], bool] | None = None,
    ) -> Fields:
        """Has a request performed, once, however often it has to be sent.

        Args:
            deadline: of the call that the request belongs to; nothing extends it.
            words: command and arguments.
            wait_s: in place of timeout_s, where the board takes long.
            heard: called with each line for people. Where it says that the line tells of progress, the wait begins
                anew; nothing else that comes extends it.

        Returns:
            What the answer says.

        Raises:
            DeviceError: no answer in time; or the board refuses.
        """
        if not self._line.is_open:
            raise DeviceError("expected an open board, received one that is closed: open the port again")
        what = f"{words[0]} on {shown(self._line.port)}"
        wait_s = self._timeout_s if wait_s is None else wait_s
        self._sequence = self._sequence % (2**32 - 1) + 1
        frame = request(self._sequence, *words)
        reason = ""
        for attempt in range(1 + self._retries):
            if self._line.now() >= deadline.at:
                break
            before = self._line.received
            # What is left of a damaged line on the board ends here.
            self._line.send(b"\n" + frame if attempt else frame)
            try:
                answer = self._await(wait_s, deadline, heard)
            except Damaged as damage:
                reason = f"the line damages what it carries ({damage})"
                continue
            if answer is None:
                heard_any = self._line.received > before
                reason = f"{'nothing that answers' if heard_any else 'silence'} for {wait_s:g} s"
                continue
            if answer.code:
                raise DeviceError(f"{what}: {answer.message()}")
            return Fields(what, answer.fields)
        if self._line.now() >= deadline.at:
            raise DeviceError(
                f"{what}: expected the call to end within {deadline.setting} = {deadline.limit_s:g} s, received no end "
                f"by then: raise {deadline.setting} where a board takes longer"
            )
        raise DeviceError(
            f"{what}: no answer after {1 + self._retries} attempts, {reason}: is the console running there, at this "
            "baud rate?"
        )

    def _await(self, wait_s: float, deadline: Deadline, heard: Callable[[bytes], bool] | None) -> Answer | None:
        until = min(self._line.now() + wait_s, deadline.at)
        while (line := self._line.read_line(until)) is not None:
            if not line.startswith(b"!"):
                if heard is not None and heard(line):
                    until = min(self._line.now() + wait_s, deadline.at)
                continue
            answer = read_answer(line)
            if answer.tells_damage:
                raise Damaged(f"the board says: {shown(answer.text)}")
            # An earlier request's answer, which came after it had been sent again, is passed over.
            if answer.sequence == self._sequence:
                return answer
        return None
