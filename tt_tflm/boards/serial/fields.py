# SPDX-License-Identifier: Apache-2.0
"""What a board says, read: every field of an answer has its range here, and what lies outside it is a `DeviceError`."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tt_tflm.boards.serial.frames import PROTOCOL
from tt_tflm.errors import DeviceError, shown

# What one answer carries at most: a piece of a state or of the losses, or the scores. Its line is not longer than
# LONGEST_LINE of line.py.
MOST_PIECE_BYTES = 1 << 16
MOST_CLASSES = MOST_PIECE_BYTES // 4
# Larger than what any microcontroller holds, and small for the host: an input as float32 is 4 MiB.
MOST_INPUT_ELEMENTS = 1 << 20
MOST_STATE_BYTES = 1 << 24
_MOST_AXES = 8
_LEAST_CHUNK_BYTES = 3  # of which base64 makes one group
_MOST_SCALING = 1e30  # 255 times that is a float32
_UINT32 = 2**32 - 1
_DECIMAL = re.compile(r"[0-9]{1,10}")
_BITS = re.compile(r"[0-9A-Fa-f]{8}")
_PROGRESS = re.compile(rb"(inspecting|adapting) ([0-9]{1,10})/([0-9]{1,10})(?: loss [ -~]*)?")


@dataclass(frozen=True)
class BoardStatus:
    """What a board is, and what it holds.

    Attributes:
        fingerprint: of the model, 16 hexadecimal digits.
        input_shape: of a sample; at most 2^20 elements on 8 axes.
        pixels: whether samples are kept as uint8; else as float32.
        input_scaling: (scale, shift) from uint8 to the model's input.
        classes: number of classes, at most 16,384.
        loss: ``prototype`` or ``softmax``.
        mode: ``static`` or ``dynamic``.
        adaptable: whether the build adapts by itself (``tt_adapt``); else it trains step by step.
        capacity: samples that the board can keep.
        samples: samples that it keeps.
        iterations: the most that one `adapt` may ask for.
        state_bytes: of a state, if it were saved now.
        storage_bytes: of the storage; 0 where the board has none.
    """

    fingerprint: str
    input_shape: tuple[int, ...]
    pixels: bool
    input_scaling: tuple[float, float]
    classes: int
    loss: str
    mode: str
    adaptable: bool
    capacity: int
    samples: int
    iterations: int
    state_bytes: int
    storage_bytes: int


class Fields:
    """The fields of an answer. All methods raise `DeviceError` where a field is missing or is not as described.

    Args:
        source: the request and the port, for messages.
        texts: key to value, as they came.
    """

    def __init__(self, source: str, texts: Mapping[str, str]) -> None:
        self._source = source
        self._texts = texts

    def number(self, key: str, least: int = 0, most: int = _UINT32) -> int:
        """A decimal number from least to most."""
        text = self._text(key)
        if not _DECIMAL.fullmatch(text) or not least <= int(text) <= most:
            raise self._unfit(f"{key}={least}" if least == most else f"{key} from {least} to {most}", text)
        return int(text)

    def name(self, key: str, pattern: str, kind: str) -> str:
        """A text that the whole of a pattern matches; kind: what that is, for people."""
        text = self._text(key)
        if not re.fullmatch(pattern, text, re.ASCII):
            raise self._unfit(f"{key} {kind}", text)
        return text

    def one_of(self, key: str, names: Sequence[str]) -> str:
        """One of a few names."""
        return self.name(key, "|".join(names), f"to be {' or '.join(names)}")

    def floating(self, key: str, most: float = math.inf) -> float:
        """A finite float32 of a magnitude of at most `most`, given by its bits in hexadecimal digits."""
        text = self._text(key)
        value = struct.unpack(">f", bytes.fromhex(text))[0] if _BITS.fullmatch(text) else math.nan
        if not math.isfinite(value) or abs(value) > most:
            raise self._unfit(f"{key} as the bits of a finite float32 in 8 hexadecimal digits", text)
        return value

    def data(self, key: str, least: int, most: int, unit: int = 1) -> bytes:
        """From least to most bytes, whole units, given in base64."""
        text = self._text(key)
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise self._unfit(f"{key} in base64", text) from None
        if not least <= len(content) <= most or len(content) % unit:
            expected = (
                f"{least} to {most} bytes" if unit == 1 else f"{least // unit} to {most // unit} times {unit} bytes"
            )
            raise self._unfit(f"{expected} of {key}", f"{len(content)} bytes")
        return content

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of an input: sizes of at least 1, divided by commas, of MOST_INPUT_ELEMENTS in all."""
        text = self._text(key)
        sizes = text.split(",", _MOST_AXES)
        shape = tuple(int(size) if _DECIMAL.fullmatch(size) else 0 for size in sizes)
        if len(shape) > _MOST_AXES or not 1 <= min(shape) or math.prod(shape) > MOST_INPUT_ELEMENTS:
            raise self._unfit(f"{key} of 1 to {_MOST_AXES} axes and at most {MOST_INPUT_ELEMENTS} elements", text)
        return shape

    def floats(self, key: str, count: int) -> np.ndarray:
        """float32 (count,), finite, given in base64."""
        return self._finite(key, self.data(key, 4 * count, 4 * count, 4))

    def status(self) -> BoardStatus:
        """What `status` tells, but for the size of a chunk."""
        protocol = self.number("protocol")
        if protocol != PROTOCOL:
            raise self._unfit(f"a console of protocol {PROTOCOL}", f"{protocol}: convert again and flash")
        capacity = self.number("capacity", 1)
        return BoardStatus(
            fingerprint=self.name("fingerprint", "[0-9A-Fa-f]{16}", "of 16 hexadecimal digits"),
            input_shape=self.shape("shape"),
            pixels=self.one_of("format", ("uint8", "float32")) == "uint8",
            input_scaling=(self.floating("scale", _MOST_SCALING), self.floating("shift", _MOST_SCALING)),
            classes=self.number("classes", 1, MOST_CLASSES),
            # A name: firmware of another day may know more losses than this package.
            loss=self.name("loss", "[a-z][a-z0-9_]{0,31}", "to be a name"),
            mode=self.one_of("mode", ("static", "dynamic")),
            adaptable=self.number("adaptable", 0, 1) == 1,
            capacity=capacity,
            samples=self.number("samples", 0, capacity),
            iterations=self.number("iterations", 1),
            state_bytes=self.number("state"),
            storage_bytes=self.number("storage"),
        )

    def is_idle(self) -> bool:
        """Whether no adapt is going on, of what `status` tells."""
        return self.one_of("stage", ("idle", "inspecting", "adapting", "stopping")) == "idle"

    def chunk_bytes(self) -> int:
        """The most bytes of a sample that one `data` may carry."""
        return self.number("chunk", _LEAST_CHUNK_BYTES, MOST_PIECE_BYTES)

    def piece(self, place: str, at: int, least: int, most: int, unit: int = 1) -> tuple[int, bytes]:
        """A part of what is sent in pieces: how many units there are, and some of them from unit `at` on.

        Args:
            place: the key that repeats `at`.
            least, most: units that there may be in all.
            unit: bytes of one; 4 are a float32, and finite.
        """
        total = self.number("total", least, most)
        self.number(place, at, at)
        left = (total - at) * unit
        content = self.data("data", min(unit, left), min(left, MOST_PIECE_BYTES), unit)
        if unit == 4:
            self._finite("data", content)
        return total, content

    def _finite(self, key: str, content: bytes) -> np.ndarray:
        values = np.frombuffer(content, dtype="<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise self._unfit(f"finite values in {key}", "NaN or infinite ones: if training has diverged, call reset()")
        return values

    def _text(self, key: str) -> str:
        if key not in self._texts:
            raise self._unfit(key, f"an answer without {key}")
        return self._texts[key]

    def _unfit(self, expected: str, received: str) -> DeviceError:
        return DeviceError(f"{self._source}: expected {expected}, received {shown(received, 80) or 'nothing'}")


def read_progress(line: bytes, capacity: int, iterations: int) -> tuple[str, int, int] | None:
    """What a line for people says of an `adapt`: stage, done and total; None where it is about something else.

    Args:
        line: as it came; nothing protects it, so that it may be damaged.
        capacity: the most samples that can be inspected.
        iterations: that were asked for.
    """
    match = _PROGRESS.fullmatch(line)
    if match is None:
        return None
    stage, done, total = match[1].decode("ascii"), int(match[2]), int(match[3])
    fits = total <= capacity if stage == "inspecting" else total == iterations
    return (stage, done, total) if fits and 0 < total and done <= total else None
