# SPDX-License-Identifier: Apache-2.0
"""A serial line: whole lines out of it, bytes into it, errors in the words of this project."""

from __future__ import annotations

import time

import serial

from tt_tflm.errors import DeviceError, InputError

# A line is not longer than this, whatever noise there is.
_LONGEST = 1 << 16
_POLL_S = 0.1


class SerialLine:
    """An open serial port.

    Args:
        port: as pyserial takes it: ``/dev/ttyACM0``, ``COM3``, or a URL such as ``socket://host:port``.
        baudrate: bits per second.

    Raises:
        InputError: the port is no text, or the baud rate is none that it has.
        DeviceError: it cannot be opened.
    """

    def __init__(self, port: str, baudrate: int) -> None:
        if not isinstance(port, str) or not port:
            raise InputError(f"expected the name of a serial port such as /dev/ttyACM0, received {port!r}")
        if isinstance(baudrate, bool) or not isinstance(baudrate, int) or baudrate <= 0:
            raise InputError(f"expected a baud rate above 0, received {baudrate!r}")
        self.port = port
        self._rest = bytearray()
        try:
            self._serial = serial.serial_for_url(port, baudrate=baudrate, timeout=_POLL_S, write_timeout=10.0)
        except (OSError, ValueError) as error:
            raise DeviceError(f"expected a serial port that can be opened, received {port}: {error}") from None

    def close(self) -> None:
        """Closes the port; further calls do nothing."""
        self._serial.close()

    @property
    def is_open(self) -> bool:
        """Whether `close` has not been called."""
        return self._serial.is_open

    def send(self, data: bytes) -> None:
        """Writes all bytes.

        Raises:
            DeviceError: the port failed.
        """
        try:
            self._serial.write(data)
            self._serial.flush()
        except (OSError, serial.SerialException) as error:
            raise DeviceError(f"{self.port}: the serial port failed: {error}") from None

    def read_line(self, timeout_s: float) -> bytes | None:
        """The next line, without its end; None when none is whole in time.

        Raises:
            DeviceError: the port failed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            end = self._rest.find(b"\n")
            if end >= 0:
                line = bytes(self._rest[:end]).strip(b"\r")
                del self._rest[: end + 1]
                return line
            if time.monotonic() >= deadline:
                return None
            del self._rest[:-_LONGEST]
            try:
                self._rest += self._serial.read(max(1, self._serial.in_waiting))
            except (OSError, serial.SerialException) as error:
                raise DeviceError(f"{self.port}: the serial port failed: {error}") from None
