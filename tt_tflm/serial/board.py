# SPDX-License-Identifier: Apache-2.0
"""A board that learns, at the other end of a serial line."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from tt_tflm.errors import DeviceError, InputError
from tt_tflm.serial.link import Link

PROTOCOL = 1
_STAGE = re.compile(r"(inspecting|adapting) (\d+)/(\d+)")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BoardStatus:
    """What a board is and holds.

    Attributes:
        fingerprint: of the model that was converted, 16 hexadecimal digits.
        shape: of one sample.
        format: dtype that enrolled samples are kept in, ``uint8`` (scaled by the board as the converter's
            ``input_scaling`` says) or ``float32`` (scaled already).
        classes: length of the scores.
        loss: ``prototype`` or ``softmax``.
        mode: ``static`` or ``dynamic``.
        adaptable: whether adaptation works on pseudo-queries; else it repeats plain train steps.
        capacity: samples that can be enrolled.
        samples: enrolled by now.
        iterations: the most of one adaptation.
        state_bytes: what a save would write.
        storage_bytes: 0 where the board has no storage.
    """

    fingerprint: str
    shape: tuple[int, ...]
    format: str
    classes: int
    loss: str
    mode: str
    adaptable: bool
    capacity: int
    samples: int
    iterations: int
    state_bytes: int
    storage_bytes: int


class Board:
    """A board that runs the console of an exported build (Zephyr, Arduino, or one's own firmware around
    ``ops/console``); a context manager. What has the same name as on a simulated board is the same thing.

    Args:
        port: serial port or pseudo-terminal, ``/dev/ttyACM0``, ``COM3``; or a URL that pyserial knows.
        baudrate: bits a second; USB and pseudo-terminals take no notice.
        timeout: seconds of silence after which a request is repeated; repeats are not performed twice.
        retries: repeats before a request fails.

    Raises:
        InputError: the port cannot be opened.
        DeviceError: nothing that speaks the protocol answers.

    Example:
        >>> with tt_tflm.Board("/dev/ttyACM0") as board:
        ...     for x, label in zip(support_x, support_y):
        ...         board.enroll(x, label)
        ...     losses = board.adapt(iterations=40)
        ...     scores = board.predict(query)
        ...     board.save()
    """

    def __init__(self, port: str, *, baudrate: int = 115200, timeout: float = 3.0, retries: int = 3) -> None:
        self._link = Link(port, baudrate, timeout, retries)
        try:
            self._about = self._link.request("status")
            self._check_protocol()
            self._shape = tuple(int(size) for size in self._about["shape"].split("x"))
            self._classes = int(self._about["classes"])
            self._chunk = int(self._about["chunk"])
        except (KeyError, ValueError) as error:
            self.close()
            raise DeviceError(f"{port}: expected the status of a console, received one without {error}") from None
        except BaseException:
            self.close()
            raise

    def status(self) -> BoardStatus:
        """What the board is and holds now."""
        found = self._link.request("status")
        return BoardStatus(
            fingerprint=found["fingerprint"],
            shape=self._shape,
            format=found["format"],
            classes=self._classes,
            loss=found["loss"],
            mode=found["mode"],
            adaptable=found["adaptable"] == "1",
            capacity=int(found["capacity"]),
            samples=int(found["samples"]),
            iterations=int(found["iterations"]),
            state_bytes=int(found["state"]),
            storage_bytes=int(found["storage"]),
        )

    def enroll(self, x: np.ndarray, label: int) -> int:
        """Keeps a sample for adaptation and adds it to the prototype of its class.

        Args:
            x: of the board's shape, in the dtype that ``status().format`` tells.
            label: 0 to classes - 1.

        Returns:
            Samples kept by now.

        Raises:
            InputError: x or label is not as described.
            DeviceError: the board has no room for more samples.
        """
        label = self._checked_label(label)
        kept = self._about["format"]
        if np.asarray(x).dtype != np.dtype(kept):
            raise InputError(f"expected samples to enroll of dtype {kept}, received {np.asarray(x).dtype}")
        self._send(x)
        return int(self._link.request("enroll", label)["samples"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scores of a sample, float32 (classes,); x: uint8 or float32 of the board's shape.

        Raises:
            InputError: x is not as described.
            DeviceError: with prototypes, no class has been enrolled.
        """
        self._send(x)
        return self._floats(self._link.request("predict")["scores"])

    def train_step(self, x: np.ndarray, label: int) -> float:
        """Trains on one sample and returns the loss before the update, in nats; x as for ``predict``."""
        label = self._checked_label(label)
        self._send(x)
        return _float_of(self._link.request("train", label)["loss"])

    def adapt(
        self,
        iterations: int = 40,
        *,
        gradient: str = "exact",
        flip: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Has the board learn from the samples it keeps; a dynamic build selects what to train before.

        Args:
            iterations: updates, 1 to ``status().iterations``.
            gradient: ``exact`` or ``constant``, see ``docs/selection.md``.
            flip: whether pseudo-queries may be mirrored.
            seed: of the pseudo-queries, below 2^32.
            progress: called with the stage, the samples done and the samples to be done.

        Returns:
            Mean loss of every iteration, float32 (iterations,).

        Raises:
            InputError: an argument is not as described.
            DeviceError: nothing is enrolled, nothing fits the budget, or training has diverged.
        """
        if gradient not in ("exact", "constant"):
            raise InputError(f"gradient: expected exact or constant, received {gradient!r}")
        for name, value in (("iterations", iterations), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**32:
                raise InputError(f"{name}: expected a whole number from 0 to {2**32 - 1}, received {value!r}")

        def heard(line: str) -> None:
            found = _STAGE.match(line)
            if found and progress is not None:
                progress(found[1], int(found[2]), int(found[3]))

        words = ["flip"] * flip + ["constant"] * (gradient == "constant")
        done = int(self._link.request("adapt", iterations, seed, *words, heard=heard)["iterations"])
        return self._floats_in_pieces("losses", done)

    def forget(self) -> None:
        """Forgets the kept samples and the prototypes; what was trained stays."""
        self._link.request("forget")

    def reset(self) -> None:
        """Forgets everything but what was saved."""
        self._link.request("reset")
        self._link.request("forget")

    def save(self) -> int:
        """Saves what was learned to the board's storage; bytes of the state."""
        return int(self._link.request("save")["bytes"])

    def load(self) -> int:
        """Takes up the state saved last; its bytes.

        Raises:
            DeviceError: there is none, or it is another model's.
        """
        return int(self._link.request("load")["bytes"])

    def dump(self) -> bytes:
        """The state saved last, as ``tt-tflm inspect`` and ``tt-tflm merge`` read it."""
        state = b""
        while True:
            answer = self._link.request("dump", len(state))
            piece = _decoded(answer["data"])
            state += piece
            if len(state) >= int(answer["total"]) or not piece:
                return state

    def close(self) -> None:
        """Closes the line; the board keeps running."""
        self._link.close()

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------- pieces

    def _check_protocol(self) -> None:
        protocol = self._about["protocol"]
        if protocol != str(PROTOCOL):
            raise DeviceError(
                f"{self._link.port}: expected a console of protocol {PROTOCOL}, received {protocol}: "
                "export and flash the firmware anew"
            )

    def _send(self, x: np.ndarray) -> None:
        array = np.asarray(x)
        if array.shape != self._shape:
            raise InputError(
                f"expected x of shape {self._shape}, received {array.shape}: give one sample without batch axis"
            )
        if array.dtype not in (np.uint8, np.float32):
            raise InputError(f"expected x of dtype uint8 or float32, received {array.dtype}")
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise InputError("expected finite values in x, received NaN or infinity")
        data = np.ascontiguousarray(array).tobytes()
        self._link.request("begin", array.dtype.name)
        for offset in range(0, len(data), self._chunk):
            piece = base64.b64encode(data[offset : offset + self._chunk]).decode("ascii")
            self._link.request("data", offset, piece)

    def _checked_label(self, label: Any) -> int:
        whole = isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_))
        if not whole or not 0 <= label < self._classes:
            raise InputError(f"expected a label in 0..{self._classes - 1}, received {label!r}")
        return int(label)

    def _floats_in_pieces(self, command: str, count: int) -> np.ndarray:
        values = np.zeros(0, np.float32)
        while len(values) < count:
            answer: Mapping[str, str] = self._link.request(command, len(values))
            piece = self._floats(answer["data"])
            if not len(piece):
                raise DeviceError(f"{command} on {self._link.port}: expected {count} values, received {len(values)}")
            values = np.concatenate([values, piece])
        return values

    @staticmethod
    def _floats(text: str) -> np.ndarray:
        return np.frombuffer(_decoded(text), dtype="<f4").astype(np.float32)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise DeviceError(f"expected base64 from the board, received {text[:40]!r}") from None


def _float_of(bits: str) -> float:
    return float(struct.unpack("<f", struct.pack("<I", int(bits, 16)))[0])
