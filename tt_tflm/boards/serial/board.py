# SPDX-License-Identifier: Apache-2.0
"""A board at a serial line, driven from the host: the same words as for boards that are simulated."""

from __future__ import annotations

import base64
import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from tt_tflm.boards.input_range import InputRange, check_clamped
from tt_tflm.boards.serial.exchange import Exchange
from tt_tflm.boards.serial.frames import PROTOCOL, Answer, Damaged
from tt_tflm.boards.serial.line import SerialLine
from tt_tflm.boards.simulated.samples import checked_label, checked_x
from tt_tflm.boards.simulated.task import GRADIENTS, Adaptation
from tt_tflm.errors import DeviceError, InputError

Progress = Callable[[str, int, int], None]
_SHOWN = re.compile(r"(inspecting|adapting) (\d+)/(\d+)")


@dataclass(frozen=True)
class BoardStatus:
    """What a board is, and what it holds.

    Attributes:
        fingerprint: of the model, 16 hexadecimal digits.
        input_shape: of a sample.
        pixels: whether samples are kept as uint8; else as float32.
        input_scaling: (scale, shift) from uint8 to the model's input.
        classes: number of classes.
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


class Board:
    """A board that runs the console of ops/console, at a serial port; a context manager.

    Every request carries a checksum and a sequence number: what a line loses or changes is sent again, and nothing is
    performed twice. All calls raise `DeviceError` when the board refuses, is silent, or the port is closed.

    >>> with tt_tflm.Board("/dev/ttyACM0") as board:  # doctest: +SKIP
    ...     for image, label in support:
    ...         board.enroll(image, label)
    ...     board.adapt(iterations=40)
    ...     scores = board.predict(image)
    ...     board.save()

    Args:
        port: as pyserial takes it: ``/dev/ttyACM0``, ``COM3``, a pseudo-terminal, or a URL such as ``socket://host:port``.
        baudrate: bits per second; as the firmware sets it.
        timeout_s: longest wait for an answer before the request is sent again, in seconds.
        adapt_timeout_s: longest silence while the board adapts; it tells of every iteration.
        retries: how often a request is sent again.

    Attributes:
        device: the port.

    Raises:
        InputError: an argument is not as described.
        DeviceError: the port cannot be opened, or no console answers.
    """

    def __init__(
        self,
        port: str,
        *,
        baudrate: int = 115200,
        timeout_s: float = 5.0,
        adapt_timeout_s: float = 300.0,
        retries: int = 4,
    ) -> None:
        for name, value in (("timeout_s", timeout_s), ("adapt_timeout_s", adapt_timeout_s)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise InputError(f"expected {name} above 0, received {value!r}")
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InputError(f"expected retries of at least 0, received {retries!r}")
        self.device = port
        self._adapt_timeout_s = adapt_timeout_s
        self._line = SerialLine(port, baudrate)
        self._exchange = Exchange(self._line, timeout_s, retries)
        try:
            # Ends what a session before has left half-sent.
            self._line.send(b"\n")
            answer = self._ask("status")
            self._chunk_bytes = answer.number("chunk")
            self._about = _status(answer)
        except Damaged as damage:
            self.close()
            raise DeviceError(f"{port}: expected the status of a console, received {damage}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the port; the board goes on. Further calls do nothing."""
        self._line.close()

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def status(self) -> BoardStatus:
        """What the board is and holds."""
        self._about = _status(self._ask("status"))
        return self._about

    def enroll(self, x: np.ndarray, label: int) -> None:
        """Has the board keep a sample for `adapt`; with prototypes, it is added to that of its class as well.

        Args:
            x: uint8 or float32, exactly the build's input shape, finite. Where the board keeps pixels, uint8; elsewhere
                uint8 is scaled here, as the build's input_scaling says.
            label: class of the sample, 0 to classes - 1.

        Raises:
            InputError: x or label is not as described.
            DeviceError: as many samples as the board has room for are kept.
        """
        label = checked_label(label, self._about.classes)
        x = self._checked_x(x)
        if self._about.pixels and x.dtype != np.uint8:
            raise InputError(
                "expected x of dtype uint8, as the board keeps pixels, received float32: give the image unscaled"
            )
        if self._about.adaptable and x.dtype == np.float32:
            check_clamped("x", x, InputRange.of(self._about.input_scaling))
        self._upload(x)
        self._ask("enroll", label)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scores of a sample.

        Args:
            x: uint8 or float32, exactly the build's input shape, finite; uint8 is scaled as the build's
                input_scaling says.

        Returns:
            float32 (classes,): logits, or temperature times cosine to each prototype; a class without enrolled
            samples scores the lowest float32.

        Raises:
            InputError: x is not as described.
            DeviceError: with prototypes, no class has been enrolled.
        """
        self._upload(self._checked_x(x))
        return _floats(self._data(self._ask("predict"), "scores"))

    def train_step(self, x: np.ndarray, label: int) -> float:
        """Trains on one sample, which is not kept.

        Args:
            x, label: as for `predict` and `enroll`.

        Returns:
            The loss before the update, in nats.

        Raises:
            InputError: x or label is not as described.
            DeviceError: with prototypes, the class has not been enrolled; or training has diverged.
        """
        label = checked_label(label, self._about.classes)
        self._upload(self._checked_x(x))
        return self._ask("train", label).floating("loss")

    def adapt(
        self,
        iterations: int = 40,
        *,
        gradient: str = "exact",
        flip: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Adaptation:
        """Has the board learn from the samples it keeps. A dynamic build chooses what to train first, under its budget.

        Args:
            iterations: updates (passes over the samples in builds that train step by step), 0 or more.
            gradient: ``exact`` (through the prototypes as well) or ``constant`` (prototypes held within an iteration);
                of builds that adapt by themselves.
            flip: whether pseudo-queries may be mirrored; of builds that adapt by themselves.
            seed: of the pseudo-queries, or of the order of samples.
            progress: called with the stage, what is done and what is to be done; None for a bar on stderr where that is
                a terminal.

        Returns:
            Mean loss of every iteration; plan and instructions are None, as a console does not tell them.

        Raises:
            InputError: an argument is not as described.
            DeviceError: no sample is kept, nothing fits the budget, or training has diverged.
        """
        for name, value, most in (("iterations", iterations, self._about.iterations), ("seed", seed, 2**32 - 1)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= most:
                raise InputError(f"adapt: expected {name} from 0 to {most}, received {value!r}")
        if gradient not in GRADIENTS:
            raise InputError(f"adapt: expected gradient to be one of {', '.join(GRADIENTS)}, received {gradient!r}")
        options = (["flip"] if flip else []) + (["constant"] if gradient == "constant" else [])
        if options and not self._about.adaptable:
            raise InputError(
                f"adapt: expected {' and '.join(options)} with a build that adapts by itself, received another"
            )
        with _shown(progress) as show:

            def heard(line: str) -> None:
                if match := _SHOWN.match(line):
                    show(match[1], int(match[2]), int(match[3]))

            self._ask("adapt", int(iterations), int(seed), *options, silence_s=self._adapt_timeout_s, heard=heard)
        losses = self._pieces("losses", "first", 4)
        return Adaptation(tuple(float(loss) for loss in _floats(losses)), None, None)

    def forget_prototypes(self) -> None:
        """Forgets the kept samples and the prototypes made of them; what was trained stays."""
        self._ask("forget")

    def save(self) -> bytes:
        """Saves what was learned to the board's storage.

        Returns:
            The state (format: ops/include/tt_state.h), as `tt_tflm.boards.simulated` boards return it.

        Raises:
            DeviceError: the board has no storage, it is too small or failed, or training has diverged.
        """
        self._ask("save", silence_s=self._adapt_timeout_s)
        return self.dump()

    def load(self) -> None:
        """Takes up what the board saved last. Samples that are kept stay.

        Raises:
            DeviceError: there is nothing, or it is of another model or plan; nothing has changed then.
        """
        self._ask("load")

    def dump(self) -> bytes:
        """The state that the board saved last, for `tt-tflm inspect` and `tt-tflm merge`.

        Raises:
            DeviceError: there is none.
        """
        return self._pieces("dump", "offset", 1)

    def reset(self) -> None:
        """Back to the weights of the conversion: what was learned and the kept samples are forgotten, what was saved is
        not."""
        self._ask("reset")

    def _ask(self, *words: object, **options: object) -> Answer:
        return self._exchange.ask(*words, **options)  # type: ignore[arg-type]

    def _checked_x(self, x: np.ndarray) -> np.ndarray:
        x = checked_x(x, self._about.input_shape, pixels=True)
        if x.dtype == np.uint8 and not self._about.pixels:
            scale, shift = self._about.input_scaling
            x = (x.astype(np.float64) * scale + shift).astype(np.float32)
        return x

    def _upload(self, x: np.ndarray) -> None:
        content = (x if x.dtype == np.uint8 else x.astype("<f4", copy=False)).tobytes()
        self._ask("begin", x.dtype.name)
        for offset in range(0, len(content), self._chunk_bytes):
            piece = base64.b64encode(content[offset : offset + self._chunk_bytes]).decode("ascii")
            self._ask("data", offset, piece)

    def _pieces(self, command: str, place: str, unit: int) -> bytes:
        """What the board sends in pieces, from the first unit to the last."""
        content = bytearray()
        while True:
            answer = self._ask(command, len(content) // unit)
            piece = self._data(answer, "data")
            if answer.number(place) != len(content) // unit or (
                not piece and len(content) < unit * answer.number("total")
            ):
                raise DeviceError(f"{command} on {self.device}: expected the piece asked for, received another")
            content += piece
            if len(content) >= unit * answer.number("total"):
                return bytes(content)

    def _data(self, answer: Answer, key: str) -> bytes:
        try:
            return answer.data(key)
        except Damaged as damage:
            raise DeviceError(f"{self.device}: expected {key} in an answer, received {damage}") from None


def _floats(content: bytes) -> np.ndarray:
    return np.frombuffer(content, dtype="<f4").astype(np.float32)


def _status(answer: Answer) -> BoardStatus:
    if answer.number("protocol") != PROTOCOL:
        raise DeviceError(
            f"expected a console of protocol {PROTOCOL}, received {answer.number('protocol')}: convert again and flash"
        )
    return BoardStatus(
        fingerprint=answer.text_of("fingerprint"),
        input_shape=tuple(int(size) for size in answer.text_of("shape").split(",")),
        pixels=answer.text_of("format") == "uint8",
        input_scaling=(answer.floating("scale"), answer.floating("shift")),
        classes=answer.number("classes"),
        loss=answer.text_of("loss"),
        mode=answer.text_of("mode"),
        adaptable=answer.number("adaptable") == 1,
        capacity=answer.number("capacity"),
        samples=answer.number("samples"),
        iterations=answer.number("iterations"),
        state_bytes=answer.number("state"),
        storage_bytes=answer.number("storage"),
    )


@contextlib.contextmanager
def _shown(progress: Progress | None) -> Iterator[Progress]:
    """Where progress goes: to the caller, or to a bar on a terminal."""
    if progress is not None:
        yield progress
        return
    # Imported here: what only enrolls and predicts does without.
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("adapting", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
