# SPDX-License-Identifier: Apache-2.0
"""A board at a serial line, driven from the host: the same words as for boards that are simulated."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np

from tt_tflm.boards.input_range import InputRange, check_clamped
from tt_tflm.boards.serial.exchange import Deadline, Exchange
from tt_tflm.boards.serial.fields import MOST_STATE_BYTES, BoardStatus, read_progress
from tt_tflm.boards.serial.line import SerialLine
from tt_tflm.boards.simulated.samples import checked_label, checked_x
from tt_tflm.boards.simulated.task import GRADIENTS, Adaptation
from tt_tflm.errors import DeviceError, InputError, expect_one_of

Progress = Callable[[str, int, int], None]
_MOST_S = 1e9


class Board:
    """A board that runs the console of ops/console, at a serial port; a context manager.

    Every request carries a checksum and a sequence number: what a line loses or changes is sent again, and nothing is
    performed twice. All calls raise `DeviceError` when the board refuses, is silent, says what no console says, takes
    longer than the limits, or the port is closed or fails. Whatever it sends, a call ends 11 s after its limit at the
    latest.

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
        adapt_timeout_s: longest wait for an answer or for progress while the board adapts or saves; it tells of every
            iteration.
        retries: how often a request is sent again.
        limit_s: longest that a call takes in all, in seconds: opening, or all requests that upload and predict, say.
        adapt_limit_s: longest that an `adapt` takes in all, whatever progress it tells of.

    Attributes:
        device: the port.

    Raises:
        InputError: an argument is not as described, or there can be no port of that name.
        DeviceError: the port cannot be opened or is no serial port, or no console answers.
    """

    def __init__(
        self,
        port: str,
        *,
        baudrate: int = 115200,
        timeout_s: float = 5.0,
        adapt_timeout_s: float = 300.0,
        retries: int = 4,
        limit_s: float = 600.0,
        adapt_limit_s: float = 86400.0,
    ) -> None:
        seconds = {
            "timeout_s": timeout_s,
            "adapt_timeout_s": adapt_timeout_s,
            "limit_s": limit_s,
            "adapt_limit_s": adapt_limit_s,
        }
        for name, value in seconds.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_S:
                raise InputError(f"expected {name} above 0 and at most {_MOST_S:g}, received {value!r}")
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InputError(f"expected retries of at least 0, received {retries!r}")
        self.device = port
        self._adapt_timeout_s = adapt_timeout_s
        self._limit_s = limit_s
        self._adapt_limit_s = adapt_limit_s
        self._line = SerialLine(port, baudrate)
        self._exchange = Exchange(self._line, timeout_s, retries)
        deadline = self._deadline()
        try:
            # Ends what a session before has left half-sent.
            self._line.send(b"\n")
            answer = self._exchange.ask(deadline, "status")
            self._about = answer.status()
            self._chunk_bytes = answer.chunk_bytes()
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
        self._about = self._exchange.ask(self._deadline(), "status").status()
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
        deadline = self._deadline()
        self._upload(deadline, x)
        self._exchange.ask(deadline, "enroll", label)

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
        x = self._checked_x(x)
        deadline = self._deadline()
        self._upload(deadline, x)
        return self._exchange.ask(deadline, "predict").floats("scores", self._about.classes)

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
        x = self._checked_x(x)
        deadline = self._deadline()
        self._upload(deadline, x)
        return self._exchange.ask(deadline, "train", label).floating("loss")

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
            DeviceError: no sample is kept, nothing fits the budget, training has diverged, or the board itself has
                cancelled.
            KeyboardInterrupt: from outside; the board has been asked to `cancel`.
        """
        words = adapt_words(self._about, iterations, gradient=gradient, flip=flip, seed=seed)
        deadline = self._exchange.deadline(self._adapt_limit_s, "adapt_limit_s")
        with _shown(progress) as show:

            def heard(line: bytes) -> bool:
                told = read_progress(line, self._about.capacity, iterations)
                if told is not None:
                    show(*told)
                return told is not None

            try:
                self._exchange.ask(deadline, "adapt", *words, wait_s=self._adapt_timeout_s, heard=heard)
            except KeyboardInterrupt:
                with contextlib.suppress(DeviceError):
                    self.cancel()
                raise
        losses = self._pieces(deadline, "losses", "first", iterations, iterations, 4)
        return Adaptation(tuple(np.frombuffer(losses, dtype="<f4").tolist()), None, None)

    def cancel(self) -> None:
        """Ends an `adapt` that is going on on the board, whoever asked for it, and waits until it has ended.

        Rows are those of the last update then, and prototypes those of the kept samples by these rows. Nothing happens
        where none is going on.
        """
        deadline = self._deadline()
        self._exchange.ask(deadline, "cancel")
        while not self._exchange.ask(deadline, "status").is_idle():
            pass  # each answer comes when a slice of the work is done

    def forget_prototypes(self) -> None:
        """Forgets the kept samples and the prototypes made of them; what was trained stays."""
        self._exchange.ask(self._deadline(), "forget")

    def save(self) -> bytes:
        """Saves what was learned to the board's storage.

        Returns:
            The state (format: ops/include/tt_state.h), as `tt_tflm.boards.simulated` boards return it.

        Raises:
            DeviceError: the board has no storage, it is too small or failed, or training has diverged.
        """
        deadline = self._deadline()
        self._exchange.ask(deadline, "save", wait_s=self._adapt_timeout_s)
        return self._dump(deadline)

    def load(self) -> None:
        """Takes up what the board saved last. Samples that are kept stay.

        Raises:
            DeviceError: there is nothing, or it is of another model or plan; nothing has changed then.
        """
        self._exchange.ask(self._deadline(), "load")

    def dump(self) -> bytes:
        """The state that the board saved last, for `tt-tflm inspect` and `tt-tflm merge`.

        Raises:
            DeviceError: there is none, or the board tells of more bytes than its storage has or than 2^24.
        """
        return self._dump(self._deadline())

    def reset(self) -> None:
        """Back to the weights of the conversion: what was learned and the kept samples are forgotten, what was saved is
        not."""
        self._exchange.ask(self._deadline(), "reset")

    def _deadline(self) -> Deadline:
        return self._exchange.deadline(self._limit_s, "limit_s")

    def _checked_x(self, x: np.ndarray) -> np.ndarray:
        x = checked_x(x, self._about.input_shape, pixels=True)
        if x.dtype == np.uint8 and not self._about.pixels:
            scale, shift = self._about.input_scaling
            x = (x.astype(np.float64) * scale + shift).astype(np.float32)
        return x

    def _upload(self, deadline: Deadline, x: np.ndarray) -> None:
        content = (x if x.dtype == np.uint8 else x.astype("<f4", copy=False)).tobytes()
        self._exchange.ask(deadline, "begin", x.dtype.name).number("bytes", len(content), len(content))
        for offset in range(0, len(content), self._chunk_bytes):
            piece = content[offset : offset + self._chunk_bytes]
            end = offset + len(piece)
            encoded = base64.b64encode(piece).decode("ascii")
            self._exchange.ask(deadline, "data", offset, encoded).number("bytes", end, end)

    def _dump(self, deadline: Deadline) -> bytes:
        return self._pieces(deadline, "dump", "offset", 1, min(self._about.storage_bytes, MOST_STATE_BYTES))

    def _pieces(self, deadline: Deadline, command: str, place: str, least: int, most: int, unit: int = 1) -> bytes:
        """What the board sends in pieces, from the first unit to the last: from least to most units of `unit` bytes."""
        content = bytearray()
        while True:
            at = len(content) // unit
            total, piece = self._exchange.ask(deadline, command, at).piece(place, at, least, most, unit)
            content += piece
            if len(content) == total * unit:
                return bytes(content)
            least = most = total  # it is the same to the end


def adapt_words(
    about: BoardStatus, iterations: int, *, gradient: str = "exact", flip: bool = False, seed: int = 0
) -> tuple[object, ...]:
    """The arguments of the console's `adapt`, as of `Board.adapt`.

    Raises:
        InputError: one is not as described there, or the board's build lacks it.
    """
    for name, value, most in (("iterations", iterations, about.iterations), ("seed", seed, 2**32 - 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= most:
            raise InputError(f"adapt: expected {name} from 0 to {most}, received {value!r}")
    expect_one_of("adapt: gradient", gradient, GRADIENTS)
    options = (["flip"] if flip else []) + (["constant"] if gradient == "constant" else [])
    if options and not about.adaptable:
        raise InputError(
            f"adapt: expected {' and '.join(options)} with a build that adapts by itself, received another"
        )
    return (int(iterations), int(seed), *options)


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
