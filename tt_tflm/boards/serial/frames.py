# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of the console as lines with checksums: the Python side of ops/console/tt_console.h."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from tt_tflm.boards.simulated.protocol import Status, status_message
from tt_tflm.errors import shown

PROTOCOL = 1

_ANSWER = re.compile(rb"!(?:(ok)|error ([0-9]{1,10}))(?: #([0-9]{1,10}))?(?: ([ -~]*))?")
_CRC = re.compile(rb"(.*)\*([0-9A-Fa-f]{8})")


class ConsoleError(IntEnum):
    """tt_console_error_t of ops/console/tt_console.h."""

    TOO_LONG = 100
    BAD_CHECKSUM = 101
    NO_CHECKSUM = 102
    UNREADABLE = 103
    UNKNOWN = 104
    BAD_ARGUMENT = 105
    NO_SAMPLE = 106
    OUT_OF_ORDER = 107
    FULL = 108
    OTHER_FORMAT = 109
    UNSUPPORTED = 110
    NO_STORAGE = 111
    STOPPED = 112
    BUSY = 113


_ADVICE: Mapping[int, str] = {
    ConsoleError.BAD_ARGUMENT: "see ops/console/tt_console.h for the ranges",
    ConsoleError.NO_SAMPLE: "call enroll(x, label) first",
    ConsoleError.FULL: "call adapt() or reset(), or give the console room for more",
    ConsoleError.OTHER_FORMAT: "give images as uint8 where the board keeps pixels",
    ConsoleError.UNSUPPORTED: "convert in a way that has it",
    ConsoleError.NO_STORAGE: "give the console a storage",
    ConsoleError.STOPPED: "call adapt() again; what was learned until then is kept",
    ConsoleError.BUSY: "call cancel(), which ends it",
}


class Damaged(Exception):
    """A line that is no whole answer: bytes were lost or changed on the way."""


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        code: 0, a ``Status`` or a ``ConsoleError``.
        sequence: of the request; None where the board could not read it.
        fields: key to value as they came, where code is 0; `Fields` reads them.
        text: what the board says of an error, of any length.
    """

    code: int
    sequence: int | None
    fields: Mapping[str, str]
    text: str

    @property
    def tells_damage(self) -> bool:
        """Whether the board has received something else than what was sent."""
        return self.sequence is None and self.code != Status.OK

    def message(self) -> str:
        """An error and what to do about it, in one line."""
        if self.code in Status.__members__.values():
            return status_message(self.code)
        advice = _ADVICE.get(self.code)
        text = shown(self.text)
        return f"{text}: {advice}" if advice else f"{text} (error {self.code})"


def request(sequence: int, *words: object) -> bytes:
    """A request as a line, its end included."""
    line = " ".join((f"#{sequence}", *map(str, words))).encode("ascii")
    return b"%s*%08x\n" % (line, zlib.crc32(line))


def read_answer(line: bytes) -> Answer:
    """The answer in a line that begins with an exclamation mark, without its end.

    Raises:
        Damaged: it is none, by its checksum or its form.
    """
    whole = _CRC.fullmatch(line)
    if whole is None or zlib.crc32(whole[1]) != int(whole[2], 16):
        raise Damaged("a checksum that is not the line's")
    parts = _ANSWER.fullmatch(whole[1])
    if parts is None:
        raise Damaged("an answer of another form")
    ok, code, sequence, rest = parts.groups()
    text = (rest or b"").decode("ascii")
    number = None if sequence is None else int(sequence)
    if not ok:
        if int(code) == Status.OK:
            raise Damaged("an error without a code")
        return Answer(int(code), number, {}, text)
    pairs = [word.partition("=") for word in text.split()]
    fields = {key: value for key, equals, value in pairs if key and equals}
    if len(fields) < len(pairs):
        raise Damaged("fields that are not KEY=VALUE, or one given twice")
    return Answer(Status.OK, number, fields, "")
