# SPDX-License-Identifier: Apache-2.0
"""The TFLM board: a build of the backend ``tflm``, its models in the interpreter of the tflite-micro wheel.

Session, choice, adaptation and saving are the build's own C code, as in firmware. What was learned lies in the models'
variable tensors; whoever asks for the row pool gets it laid out as a board of the C backend has it, so that everything
above works alike.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.host import HostBoard
from tt_tflm.boards.simulated.protocol import Reply, Request, status_message
from tt_tflm.boards.simulated.tflm_models import TflmModels, files_for_wheel, firmware_arena_bytes
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.errors import DeviceError, ToolchainError
from tt_tflm.tflite import op_params as tflm_params
from tt_tflm.tflite.op_params import FISHER, TRAIN

DEVICE = "tflm"
_FROZEN_SLOT = 0xFFFF
_FLOAT = 4
# Boards of one build share its library, which is told of one board's models at a time.
_starting = threading.Lock()


def tflm_arena_bytes(models: Mapping[str, bytes]) -> dict[str, int | None]:
    """TFLM's own figures on this machine, None where the wheel is missing.

    Returns:
        ``tflm_arena_bytes``, the arena of ``train.tflite``, and ``tflm_firmware_arena_bytes``, one that holds every
        model and the objects around them: what ``tt_init`` of the build is given.
    """
    try:
        arenas = {name: TflmInterpreter(models[name]).arena for name in (TRAIN, FISHER) if name in models}
    except ToolchainError:
        return {"tflm_arena_bytes": None, "tflm_firmware_arena_bytes": None}
    return {
        "tflm_arena_bytes": arenas[TRAIN].total,
        "tflm_firmware_arena_bytes": firmware_arena_bytes(models, arenas),
    }


@dataclass(frozen=True)
class _Part:
    """What the models' pool holds of a layer: rows of those channels, from that float on."""

    layer: str
    channels: np.ndarray
    stride: int
    begin: int


class TflmBoard(HostBoard):
    """A build of the backend ``tflm`` in the Python process, its models in TFLM's interpreter.

    Args:
        files: the build.

    Raises:
        ToolchainError: the tflite-micro wheel or a compiler is missing.
        InputError: TFLM refuses a model of the build, or simulation.json belongs to another build.
    """

    def __init__(self, files: SimulationFiles) -> None:
        self._models = TflmModels(files.description["tflm"], files.models)
        self._pool_bytes = int(files.description["regions_bytes"])
        with _starting:
            super().__init__(*files_for_wheel(files, self._models.arena_bytes), device=DEVICE)

    def close(self) -> None:
        super().close()
        self._models.close()

    def _load(self, defines: tuple[str, ...]) -> ctypes.CDLL:
        library = super()._load(defines)
        self._models.hold(library)
        return library

    def _exchange(self, request: Request) -> Reply:
        reply = super()._exchange(request)
        error = self._models.take_error()
        if error is not None:
            raise DeviceError(
                f"{request.command.name.lower()} on {self.device}: {status_message(reply.status)} ({error})"
            )
        return reply

    # -------------------------------------------------------------- the row pool of the C backend

    def _read_row_pool(self) -> bytes:
        train, about = self._models[TRAIN], self._files.description
        memory, choice = np.zeros(self._pool_bytes, np.uint8), about["choice"]

        def put(offset: int, data: np.ndarray) -> None:
            memory[offset : offset + data.nbytes] = data.view(np.uint8)

        if self._has_prototypes:
            put(int(about["prototypes"]["sums_offset"]), train.tensors["sums"])
            put(int(about["prototypes"]["counts_offset"]), train.tensors["counts"])
        parts = list(self._parts())
        if choice is None:
            for entry, part in zip(about["rows"], parts, strict=True):
                put(int(entry["offset"]), self._rows_of(part))
            return memory.tobytes()
        fisher = self._models[FISHER]
        potentials = [tensor for name, tensor in fisher.tensors.items() if name.startswith("potential_")]
        put(int(choice["potentials_offset"]), np.concatenate(potentials))
        slots = [_slots(part.channels, int(c["channels"])) for c, part in zip(choice["candidates"], parts, strict=True)]
        put(int(choice["slots_offset"]), np.concatenate(slots))
        for part in parts:
            put(int(choice["rows_offset"]) + _FLOAT * part.begin, self._rows_of(part))
        return memory.tobytes()

    def _parts(self) -> Iterator[_Part]:
        """The trained layers, in order."""
        about = self._files.description
        if about["choice"] is None:
            begin = 0
            for entry in about["rows"]:
                part = _Part(entry["layer"], np.array(entry["channels"]), int(entry["stride"]), begin)
                yield part
                begin += int(about["copies"]) * len(part.channels) * part.stride
            return
        words = self._models[TRAIN].ints("choice")
        for i, candidate in enumerate(about["choice"]["candidates"]):
            count, begin, first = words[3 * i : 3 * i + 3].tolist()
            yield _Part(candidate["layer"], words[first : first + count], int(candidate["stride"]), begin)

    def _rows_of(self, part: _Part) -> np.ndarray:
        """As they are now; those of the conversion until a run has put them into the pool."""
        train = self._models[TRAIN]
        if train.ints("control")[tflm_params.Control.INITIALISED] == 0:
            return np.ascontiguousarray(self._files.base_rows[part.layer][part.channels], "<f4").reshape(-1)
        return train.tensors["pool"].view("<f4")[part.begin : part.begin + len(part.channels) * part.stride]


def _slots(channels: np.ndarray, total: int) -> np.ndarray:
    slots = np.full(total, _FROZEN_SLOT, "<u2")
    slots[channels] = np.arange(len(channels), dtype=np.uint16)
    return slots
