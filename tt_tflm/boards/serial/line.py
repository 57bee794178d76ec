# SPDX-License-Identifier: Apache-2.0
"""A serial line: whole lines out of it, bytes into it, errors in the words of this project."""

from __future__ import annotations

import contextlib
import time

import serial

from tt_tflm.errors import DeviceError, InputError, shown

# What is longer is no answer (see MOST_PIECE_BYTES of fields.py) and is passed over.
LONGEST_LINE = 1 << 17
# A call may outlast its limit by one of each: they are given to pyserial when the port is opened.
POLL_S = 0.1
WRITE_S = 10.0
_READ_BYTES = 4096
_MOST_BAUD = 2**31 - 1


class SerialLine:
    """An open serial port.

    Args:
        port: as pyserial takes it: ``/dev/ttyACM0``, ``COM3``, or a URL such as ``socket://host:port``.
        baudrate: bits per second.

    Attributes:
        port: as given.
        received: bytes, since it was opened.

    Raises:
        InputError: the port is no name that a port can have, or the baud rate is none that it has.
        DeviceError: it cannot be opened, or is no serial port.
    """

    def __init__(self, port: str, baudrate: int) -> None:
        if not isinstance(port, str) or not port:
            raise InputError(f"expected the name of a serial port such as /dev/ttyACM0, received {shown(repr(port))}")
        if isinstance(baudrate, bool) or not isinstance(baudrate, int) or baudrate <= 0:
            raise InputError(f"expected a baud rate above 0, received {baudrate!r}")
        if baudrate > _MOST_BAUD:
            raise InputError(f"expected a baud rate of at most {_MOST_BAUD}, received {baudrate}")
        self.port = port
        self.received = 0
        self._rest = bytearray()
        self._searched = 0
        self._overlong = False
        self.is_open = False
        try:
            self._serial = serial.serial_for_url(port, baudrate=baudrate, timeout=POLL_S, write_timeout=WRITE_S)
        except ValueError as error:
            # NUL and what cannot be encoded, URLs of unknown kinds, baud rates.
            raise InputError(
                f"expected the name of a serial port, and a baud rate that it has, received {shown(port)} at "
                f"{baudrate} baud: {shown(error)}"
            ) from None
        except Exception as error:
            # Whatever pyserial's handlers of URLs and the system's calls raise; termios.error is no OSError.
            raise DeviceError(
                f"expected a serial port that can be opened, received {shown(port)}: {shown(error)}"
            ) from None
        self.is_open = True

    def close(self) -> None:
        """Closes the port; further calls do nothing."""
        if self.is_open:
            self.is_open = False
            # A port that has gone may fail here as well; nothing is lost, as what was answered has been read. What the
            # device has not taken is dropped: the system would wait for it to do so.
            with contextlib.suppress(Exception):
                self._serial.reset_output_buffer()
            with contextlib.suppress(Exception):
                self._serial.close()

    def now(self) -> float:
        """The time in seconds, from any beginning; it never goes back."""
        return time.monotonic()

    def send(self, data: bytes) -> None:
        """Writes all bytes, within WRITE_S.

        Raises:
            DeviceError: the port failed.
        """
        # Not flushed: that would wait, without a limit, for a device that takes nothing.
        try:
            self._serial.write(data)
        except Exception as error:
            raise self._failed(error) from None

    def read_line(self, until: float) -> bytes | None:
        """The next line, without its end; None when none is whole by `until`, or POLL_S after it.

        Args:
            until: on the clock of `now`.

        Raises:
            DeviceError: the port failed.
        """
        # The clock comes first: lines that keep coming must not keep the caller here.
        while self.now() < until:
            end = self._rest.find(b"\n", self._searched)
            if end < 0:
                self._receive()
                continue
            line = bytes(self._rest[:end]).strip(b"\r")
            del self._rest[: end + 1]
            self._searched = 0
            if not self._overlong:
                return line
            self._overlong = False
        return None

    def _receive(self) -> None:
        if len(self._rest) > LONGEST_LINE:
            self._rest.clear()
            self._overlong = True
        self._searched = len(self._rest)
        try:
            received = self._serial.read(max(1, min(self._serial.in_waiting, _READ_BYTES)))
        except Exception as error:
            raise self._failed(error) from None
        self.received += len(received)
        self._rest += received

    def _failed(self, error: Exception) -> DeviceError:
        """A pulled cable in one line: OSError, termios.error (which is none), TypeError of a lost descriptor."""
        return DeviceError(
            f"{shown(self.port)}: the serial port failed: {shown(error)}: connect the board and open the port again"
        )
