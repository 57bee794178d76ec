# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of the console (ops/console/tt_console.h) over a serial line: checksums, sequence numbers,
repeats after a lost answer."""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from enum import IntEnum

import serial

from tt_tflm.errors import DeviceError, InputError
from tt_tflm.simulate.protocol import status_message

_LONGEST_LINE = 1 << 16


class ConsoleError(IntEnum):
    """tt_console_error_t; codes below 100 are tt_status_t."""

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


_ADVICE = {
    ConsoleError.UNKNOWN: "the board's firmware is older than this package: export and flash it anew",
    ConsoleError.NO_SAMPLE: "enroll samples first",
    ConsoleError.FULL: "forget() the kept samples, or give the firmware room for more",
    ConsoleError.OTHER_FORMAT: "send samples of the format that status() tells",
    ConsoleError.UNSUPPORTED: "convert the model anew with what is missing",
    ConsoleError.NO_STORAGE: "the firmware was built without a storage",
    ConsoleError.STOPPED: "the firmware ended the adaptation",
}
# The line did not arrive as it was sent: what was asked for has not been done.
_GARBLED = (ConsoleError.TOO_LONG, ConsoleError.BAD_CHECKSUM, ConsoleError.NO_CHECKSUM, ConsoleError.UNREADABLE)


def framed(text: str) -> bytes:
    """A line with its checksum."""
    return f"{text}*{zlib.crc32(text.encode('ascii')):08x}\n".encode("ascii")


def unframed(line: bytes) -> str | None:
    """The text of an answer's line without its checksum; None where the checksum is wrong or missing."""
    text, star, crc = line.strip().rpartition(b"*")
    if not star or len(crc) != 8 or f"{zlib.crc32(text):08x}".encode() != crc.lower():
        return None
    return text.decode("ascii", "replace")


class Link:
    """A serial line to a console.

    Args:
        port: name of a serial port or pseudo-terminal, or a URL that pyserial knows.
        baudrate: bits a second; without meaning on USB and pseudo-terminals.
        timeout_s: seconds of silence after which a request is repeated.
        retries: repeats before giving up.

    Raises:
        InputError: the port cannot be opened.
    """

    def __init__(self, port: str, baudrate: int, timeout_s: float, retries: int) -> None:
        self.port = port
        self._timeout_s, self._retries = timeout_s, retries
        try:
            self._serial = serial.serial_for_url(port, baudrate=baudrate, timeout=0.05, write_timeout=timeout_s)
        except (serial.SerialException, ValueError, OSError) as error:
            raise InputError(f"expected a serial port with a board on it, received {port!r}: {error}") from None
        self._received = b""
        # Random: the board remembers the last number of whoever spoke to it before.
        self._sequence = secrets.randbits(31)

    @property
    def closed(self) -> bool:
        """Whether the line has been closed."""
        return not self._serial.is_open

    def close(self) -> None:
        """Close the line."""
        self._serial.close()

    def request(
        self, command: str, *arguments: object, heard: Callable[[str], None] = lambda _line: None
    ) -> Mapping[str, str]:
        """Have one request performed, once, whatever gets lost on the way.

        Args:
            command, arguments: of the request.
            heard: called with every line for people that comes before the answer.

        Returns:
            The answer's values by their keys.

        Raises:
            DeviceError: the board refuses, or does not answer.
        """
        if self.closed:
            raise DeviceError("expected an open board, received one that is closed: open it again")
        self._sequence = (self._sequence + 1) % 2**32
        line = framed(" ".join([f"#{self._sequence}", command, *map(str, arguments)]))
        for _ in range(self._retries + 1):
            answer = self._try(line, heard)
            if answer is not None:
                return self._values(command, answer)
        raise DeviceError(
            f"{command} on {self.port}: expected an answer within {self._timeout_s:g} s, received none in "
            f"{self._retries + 1} attempts: is this the console's port, and does the firmware run?"
        )

    def _try(self, line: bytes, heard: Callable[[str], None]) -> list[str] | None:
        """The words of the answer; None where it has to be asked again."""
        try:
            self._serial.write(line)
            while True:
                received = self._line()
                if received is None:
                    # Ends a request of which only the beginning has arrived.
                    self._serial.write(b"\n")
                    return None
                if not received.startswith(b"!"):
                    heard(received.decode("ascii", "replace").strip())
                    continue
                text = unframed(received)
                words = text.split(" ") if text is not None else []
                if f"#{self._sequence}" in words[1:3]:
                    return words
                if len(words) > 1 and words[0] == "!error" and words[1] in {str(int(code)) for code in _GARBLED}:
                    return None
        except (serial.SerialException, OSError) as error:
            self.close()
            raise DeviceError(f"{self.port}: the line is gone: {error}") from None

    def _line(self) -> bytes | None:
        """The next line; None after a silence."""
        deadline = time.monotonic() + self._timeout_s
        while b"\n" not in self._received:
            more = self._serial.read(max(1, self._serial.in_waiting))
            if more:
                deadline = time.monotonic() + self._timeout_s
                self._received = (self._received + more)[-_LONGEST_LINE:]
            elif time.monotonic() > deadline:
                self._received = b""
                return None
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _values(self, command: str, words: list[str]) -> Mapping[str, str]:
        if words[0] == "!ok":
            return dict(word.split("=", 1) for word in words if "=" in word)
        code = int(words[1]) if len(words) > 1 and words[1].isdigit() else -1
        if code in _ADVICE:
            text = " ".join(words[3:])
            raise DeviceError(f"{command} on {self.port}: {text}: {_ADVICE[ConsoleError(code)]}")
        if code >= min(ConsoleError):
            raise DeviceError(f"{command} on {self.port}: {' '.join(words[3:])}")
        raise DeviceError(f"{command} on {self.port}: {status_message(code)}")
