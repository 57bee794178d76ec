# SPDX-License-Identifier: Apache-2.0
"""Boards: one interface to a build that runs on the host or on an emulated core.

Everything that users meet (checks, errors, weights) is here; a subclass only moves requests and replies.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np

from tt_tflm.boards.input_range import InputRange
from tt_tflm.boards.simulated.protocol import (
    PROTOCOL_VERSION,
    Command,
    Description,
    Reply,
    Request,
    Status,
    status_message,
)
from tt_tflm.boards.simulated.samples import checked_label, checked_target, checked_x
from tt_tflm.emit.tflm.infer_model import with_prototypes, with_rows
from tt_tflm.errors import DeviceError, InputError
from tvm_passes.specs import VECTOR

_INFER_MODEL = "sim/infer.tflite"
_Own = TypeVar("_Own", bound="Board")


class RowLayer(Protocol):
    """A layer whose weights are stored as rows."""

    def rows_to_kernel(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows, float32 (channels, stride), to the layer's kernel and bias (None without one) in Keras layouts."""


@dataclass(frozen=True)
class SimulationFiles:
    """What a simulation is made from.

    Attributes:
        sources: C sources of the build that are no kernels (out/src).
        kernel_sources: C sources of the build's kernels (out/src); compiled with the target's kernel flags.
        weight_sources: those of `sources` that hold weights alone.
        include_dirs: folders of headers, tt_model.h among them (out/include).
        sim_dir: folder of the simulation's own sources (out/sim).
        description: content of simulation.json; read are `input_shape`, `classes`, `embedding_elements`, `loss`,
            `label`, `label_elements`, `arena_bytes`, `regions_bytes` and `rows`.
        base_rows: layer name to its rows before training, float32 (channels, stride).
        layers: layer name to what converts its rows; `weights()` returns these layers.
        models: .tflite files of the build by path; `sim/infer.tflite` is what `export_tflite()` starts from.
    """

    sources: tuple[Path, ...]
    kernel_sources: tuple[Path, ...]
    include_dirs: tuple[Path, ...]
    sim_dir: Path
    description: Mapping[str, Any]
    base_rows: Mapping[str, np.ndarray]
    layers: Mapping[str, RowLayer]
    models: Mapping[str, bytes] = field(default_factory=dict)
    weight_sources: tuple[Path, ...] = ()


class Board(ABC):
    """A board with a build on it, ready to predict and train; a context manager.

    A new board holds the weights the model was converted with. All calls raise `DeviceError` when the device code
    refuses, when the board stopped answering, or when it is closed.

    Attributes:
        instructions: exact number of instructions of the latest `predict`, `train_step`, `enroll`, `embedding` and
            `reset`, by these names; empty where they are not counted (host).
        stack_bytes: the most of the stack that calls of these names took so far; empty where it is not measured.
        device: name of the target.
    """

    def __init__(self, files: SimulationFiles, device: str) -> None:
        description = files.description
        self.device = device
        self.instructions: dict[str, int] = {}
        self.stack_bytes: dict[str, int] = {}
        self._files = files
        self._input_shape = tuple(int(size) for size in description["input_shape"])
        self._classes = int(description["classes"])
        self._has_prototypes = description["prototypes"] is not None
        self._to_vector = description["label"] == VECTOR

    @property
    def input_range(self) -> InputRange:
        """Least and greatest value of the build's input, as pixels are scaled to it."""
        return InputRange.of(self._files.description["input_scaling"])

    @property
    def calibrated(self) -> InputRange | None:
        """Least and greatest value of the data that an int8 build was made with; None in float32."""
        ends = self._files.description.get("calibrated")
        return None if ends is None else InputRange(*ends)

    @abstractmethod
    def _exchange(self, request: Request) -> Reply:
        """Has one request performed."""

    @abstractmethod
    def close(self) -> None:
        """Ends the board and frees what it holds; further calls of close do nothing."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scores of a sample.

        Args:
            x: float32, exactly the build's input shape (H, W, C), finite.

        Returns:
            float32 (classes,): logits, or temperature times cosine to each prototype; a class without enrolled
            samples scores the lowest float32.

        Raises:
            InputError: x is not as described.
            DeviceError: with prototypes, no class has been enrolled.
        """
        return self._floats(self._call(Command.PREDICT, x=self._checked_x(x)))

    def train_step(self, x: np.ndarray, label: int | np.ndarray) -> float:
        """Trains on one sample.

        Args:
            x: as for `predict`.
            label: class of the sample, 0 to classes - 1; for a loss whose label is a vector float32 (label elements,),
                finite.

        Returns:
            The loss before the update, in nats.

        Raises:
            InputError: x or label is not as described.
            DeviceError: with prototypes, the class has not been enrolled; or training has diverged.
        """
        payload = self._call_towards(Command.TRAIN_STEP, x, label)
        return float(self._floats(payload)[0])

    def enroll(self, x: np.ndarray, label: int) -> None:
        """Adds a sample to its class prototype; arguments and errors as for `train_step`.

        Raises:
            InputError: also when the build has no prototype loss.
        """
        self._need_prototypes("enroll")
        self._call(Command.ENROLL, self._checked_label(label), self._checked_x(x))

    def embedding(self, x: np.ndarray) -> np.ndarray:
        """Embedding of a sample, float32 (embedding elements,); x as for `predict`.

        Raises:
            InputError: x is not as described, or the build has no prototype loss.
        """
        self._need_prototypes("embedding")
        return self._floats(self._call(Command.EMBEDDING, x=self._checked_x(x)))

    def forget_prototypes(self) -> None:
        """Forgets the enrolled samples and keeps what was learned: after training, embeddings have moved.

        Raises:
            InputError: the build has no prototype loss.
        """
        self._need_prototypes("forget_prototypes")
        self._call(Command.FORGET_PROTOTYPES)

    def reset(self) -> None:
        """Back to the weights of the conversion: trained rows, optimiser state and prototypes are forgotten."""
        self._call(Command.RESET)

    def save(self) -> bytes:
        """Saves what was learned to the board's storage, as it would to flash.

        Returns:
            The state: plan, trained rows, prototypes and number of updates (format: ops/include/tt_state.h); the same
            bytes on every board. `tt_tflm.state.personalisation` reads them.

        Raises:
            DeviceError: training has diverged.
        """
        return self._call(Command.SAVE)

    def load(self, state: bytes | None = None) -> None:
        """Takes up a saved state: scores are then those of the moment it was saved, to the bit. Optimiser moments and
        Fisher potentials start anew, the learning rate stays.

        Args:
            state: what `save` of a board with the same model returned; None for what this board saved last.

        Raises:
            InputError: the state is no bytes, none at all, or larger than any of this build.
            DeviceError: the state is damaged, or of another model or plan; nothing has changed then.
        """
        if state is not None:
            most = int(self._files.description.get("state_bytes") or 0)
            if not isinstance(state, bytes) or not state:
                raise InputError(f"load: expected the bytes of a saved state, received {state!r:.40}")
            if len(state) > most:
                raise InputError(
                    f"load: expected a state of this build, at most {most} bytes, received {len(state)}: load it into "
                    "the build that saved it"
                )
        self._call(Command.LOAD, message=state or b"")

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the learning rate of the following steps, finite and not below 0.

        Raises:
            InputError: it is not in this range.
        """
        try:
            bits = struct.unpack("<I", struct.pack("<f", learning_rate))[0]
        except (struct.error, OverflowError):
            bits = None
        if bits is None or not math.isfinite(learning_rate) or learning_rate < 0:
            raise InputError(f"expected a learning rate that is finite and not below 0, received {learning_rate!r}")
        self._call(Command.SET_LEARNING_RATE, bits)

    def weights(self) -> dict[str, np.ndarray]:
        """All weights as they are now, trained rows in place.

        Returns:
            {"layer/kernel": array, "layer/bias": array}, float32 in Keras layouts, batch normalisation folded; a layer
            without bias has no bias key.
        """
        rows = self._rows(self._call(Command.READ_ROW_POOL))
        weights: dict[str, np.ndarray] = {}
        for name, layer in self._files.layers.items():
            kernel, bias = layer.rows_to_kernel(rows[name])
            weights[f"{name}/kernel"] = kernel
            if bias is not None:
                weights[f"{name}/bias"] = bias
        return weights

    def export_tflite(self, path: str | Path | None = None) -> bytes:
        """The model as it is now, as a plain float model for any TensorFlow Lite runtime.

        Input: float32 (1, *input_shape), a signal (length, channels) as (1, 1, length, channels). Output: the scores
        that `predict` gives, (1, classes); with prototypes the embedding as a second one.

        Args:
            path: file to write it to as well.

        Returns:
            Content of the .tflite file.

        Raises:
            InputError: the build holds no forward model or an operation that TensorFlow Lite lacks, is int8, or the
                file cannot be written.
            DeviceError: with prototypes, no class has been enrolled.
        """
        if self._files.description.get("precision") == "int8":
            raise InputError("export_tflite: expected a build of precision float32, received one of int8")
        not_exported = self._files.description.get("not_exported")
        if not_exported is not None:
            raise InputError(f"export_tflite: {not_exported}")
        content = self._files.models.get(_INFER_MODEL)
        if content is None:
            raise InputError(
                f"export_tflite: expected a build with {_INFER_MODEL}, received one without: convert again"
            )
        pool = self._call(Command.READ_ROW_POOL)
        rows = self._rows(pool)
        content = with_rows(content, [rows[name] for name in self._files.layers])
        if self._has_prototypes:
            about = self._files.description["prototypes"]
            elements = int(self._files.description["embedding_elements"])
            counts = np.frombuffer(pool, "<u4", self._classes, int(about["counts_offset"]))
            sums = np.frombuffer(pool, "<f4", self._classes * elements, int(about["sums_offset"]))
            if not counts.any():
                raise DeviceError(f"export_tflite on {self.device}: {status_message(Status.NOT_ENROLLED)}")
            content = with_prototypes(content, sums.reshape(self._classes, elements), counts, about["temperature"])
        if path is not None:
            try:
                Path(path).write_bytes(content)
            except OSError as error:
                raise InputError(f"expected a file that can be written, received '{path}': {error.strerror}") from None
        return content

    def _rows(self, pool: bytes) -> dict[str, np.ndarray]:
        """Rows of every layer, those that are trained in place."""
        rows = {name: np.array(array, dtype=np.float32) for name, array in self._files.base_rows.items()}
        for entry in self._trained_rows(pool):
            channels, stride = list(entry["channels"]), int(entry["stride"])
            trained = np.frombuffer(pool, dtype="<f4", count=len(channels) * stride, offset=int(entry["offset"]))
            rows[entry["layer"]][channels] = trained.reshape(len(channels), stride)
        return rows

    def _trained_rows(self, _pool: bytes) -> Sequence[Mapping[str, Any]]:
        """What of the row pool belongs to which channels."""
        return self._files.description["rows"]

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """To be called by a subclass when requests can be exchanged."""
        self._check_description(Description.unpack(self._call(Command.DESCRIBE)))
        self._call(Command.INIT)

    def _check_description(self, found: Description) -> None:
        description = self._files.description
        expected = {
            "protocol_version": PROTOCOL_VERSION,
            "input_elements": math.prod(self._input_shape),
            "classes": self._classes,
            "embedding_elements": int(description.get("embedding_elements") or 0) if self._has_prototypes else 0,
            "label_elements": int(description["label_elements"]) if self._to_vector else 0,
            "arena_bytes": int(description["arena_bytes"]),
            "regions_bytes": int(description["regions_bytes"]),
        }
        for name, value in expected.items():
            if getattr(found, name) != value:
                raise InputError(
                    f"simulation.json does not belong to the build's sources: expected {name} {value}, "
                    f"received {getattr(found, name)} from tt_model.h; convert again"
                )

    def _call(
        self,
        command: Command,
        argument: int = 0,
        x: np.ndarray | None = None,
        message: bytes = b"",
        samples: Sequence[np.ndarray] = (),
    ) -> bytes:
        reply = self._exchange(Request(command, argument, x, message, samples))
        name = command.name.lower()
        if reply.status != Status.OK:
            raise DeviceError(f"{name} on {self.device}: {status_message(reply.status)}")
        if reply.instructions:
            self.instructions[name] = reply.instructions
        if reply.stack_bytes:
            self.stack_bytes[name] = max(reply.stack_bytes, self.stack_bytes.get(name, 0))
        return reply.payload

    def _call_towards(self, command: Command, x: np.ndarray, label: Any) -> bytes:
        """A call that takes a sample and its label, of the kind that the loss wants."""
        if self._to_vector:
            target = checked_target(label, int(self._files.description["label_elements"]))
            return self._call(command, x=self._checked_x(x), message=target.astype("<f4").tobytes())
        return self._call(command, self._checked_label(label), self._checked_x(x))

    def _checked_x(self, x: np.ndarray) -> np.ndarray:
        # A model that scales its input itself, or takes integers, takes pixels as they are.
        as_they_are = tuple(self._files.description.get("input_scaling", ())) == (1.0, 0.0)
        if as_they_are and getattr(x, "dtype", None) == np.uint8:
            x = x.astype(np.float32)
        return checked_x(x, self._input_shape)

    def _checked_label(self, label: int) -> int:
        return checked_label(label, self._classes)

    def _need_prototypes(self, name: str) -> None:
        if not self._has_prototypes:
            raise InputError(
                f"expected a build with prototype loss for {name}, received one with {self._files.description['loss']} "
                "loss: convert with converter.loss = PrototypeLoss(...)"
            )

    @staticmethod
    def _floats(payload: bytes) -> np.ndarray:
        return np.frombuffer(payload, dtype="<f4").astype(np.float32)
