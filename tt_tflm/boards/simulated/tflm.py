# SPDX-License-Identifier: Apache-2.0
"""The TFLM board: a build of the backend ``tflm`` in the interpreter of the tflite-micro wheel.

Its state is that of the models' variable tensors; requests that ask for the row pool get it laid out as a board of the
C backend would, so that everything above works alike.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tflite

from tt_tflm.boards.simulated.adaptive_board import AdaptiveBoard
from tt_tflm.boards.simulated.board import SimulationFiles
from tt_tflm.boards.simulated.choice import pack_choice
from tt_tflm.boards.simulated.protocol import Command, Reply, Status
from tt_tflm.boards.simulated.task import Task
from tt_tflm.boards.simulated.tflm_adaptation import EpisodeRun
from tt_tflm.boards.simulated.tflm_models import TflmModel
from tt_tflm.boards.simulated.tflm_wheel import TflmInterpreter
from tt_tflm.emit.tflm import params as tflm_params
from tt_tflm.emit.tflm.params import FISHER, TRAIN, Op
from tt_tflm.errors import DeviceError, InputError, ToolchainError
from tt_tflm.plan.budget import Budget
from tt_tflm.plan.cost_table import Candidate, CostTable, MacItem, SavedTensor
from tt_tflm.plan.select import select

DEVICE = "tflm"
_NO_LIMIT = 2**64 - 1
_FROZEN_SLOT = 0xFFFF
_FLOAT = 4
# Of machines with pointers of 64 bits, rounded up: what TFLM takes for each tensor while it plans, and the objects of
# an interpreter, of the resolver, and of each op in it.
_PLANNING_BYTES, _OBJECT_BYTES, _OP_BYTES = 128, 1024, 80
# A rate of 0 stands for the one that the model was made with; this one moves a weight by a denormal number at most.
_NO_RATE = np.finfo(np.float32).smallest_subnormal
_RUNS = {
    Command.PREDICT: tflm_params.Command.PREDICT,
    Command.EMBEDDING: tflm_params.Command.PREDICT,
    Command.TRAIN_STEP: tflm_params.Command.TRAIN,
    Command.ENROLL: tflm_params.Command.ENROLL,
    Command.FISHER_ACCUMULATE: tflm_params.Command.FISHER,
}
_RESULTS = {Command.PREDICT: "scores", Command.EMBEDDING: "embedding", Command.TRAIN_STEP: "loss"}


def tflm_arena_bytes(models: Mapping[str, bytes]) -> dict[str, int | None]:
    """TFLM's own figures on this machine, None where the wheel is missing.

    Returns:
        ``tflm_arena_bytes``, the arena of ``train.tflite``, and ``tflm_firmware_arena_bytes``, one that holds every
        model and the objects around them: what ``tt_init`` of the build is given.
    """
    names = [name for name in (TRAIN, FISHER) if name in models]
    try:
        arenas = {name: TflmInterpreter(models[name]).arena for name in names}
    except ToolchainError:
        return {"tflm_arena_bytes": None, "tflm_firmware_arena_bytes": None}
    contents = [tflite.Model.GetRootAsModel(models[name], 0) for name in names]
    # Models share what lasts for a run; the places of all tensors are worked out in the same memory.
    shared = max(arena.head for arena in arenas.values())
    planning = max(_PLANNING_BYTES * model.Subgraphs(0).TensorsLength() for model in contents)
    objects = _OBJECT_BYTES * (len(names) + 1) + _OP_BYTES * max(
        model.OperatorCodesLength() + len(Op) for model in contents
    )
    total = max(shared, planning) + sum(arena.tail for arena in arenas.values()) + objects
    return {"tflm_arena_bytes": arenas[TRAIN].total, "tflm_firmware_arena_bytes": -(-total // 16) * 16}


class TflmBoard(AdaptiveBoard):
    """A build of the backend ``tflm`` in TFLM's interpreter in this process.

    Args:
        files: the build.

    Raises:
        ToolchainError: the tflite-micro wheel or a compiler is missing.
        InputError: TFLM refuses a model of the build.
    """

    def __init__(self, files: SimulationFiles) -> None:
        super().__init__(files, DEVICE)
        layouts = files.description["tflm"]
        missing = [name for name in layouts if name not in files.models]
        if missing:
            raise InputError(f"expected a build with {missing[0]}, received one without: convert again")
        shape = (1, 1, *self._input_shape) if len(self._input_shape) == 2 else (1, *self._input_shape)
        self._models = {name: TflmModel(files.models[name], layout, shape) for name, layout in layouts.items()}
        self._learning_rate = np.float32(files.description["learning_rate"])

    @property
    def arena_bytes(self) -> dict[str, int]:
        """What TFLM takes of its arena on this machine, by model, variable tensors included."""
        return {name: model.arena.total for name, model in self._open().items()}

    def close(self) -> None:
        self._models = {}

    def _open(self) -> dict[str, TflmModel]:
        if not self._models:
            raise DeviceError("expected an open board, received one that is closed: simulate the build again")
        return self._models

    def _exchange(
        self,
        command: Command,
        argument: int = 0,
        x: np.ndarray | None = None,
        message: bytes = b"",
        samples: Sequence[np.ndarray] = (),
    ) -> Reply:
        train = self._open()[TRAIN]
        if command in _RUNS:
            return self._run(command, argument, x)
        if command is Command.READ_ROW_POOL:
            return Reply(Status.OK, payload=self._row_pool())
        if command is Command.RESET:
            for model in self._models.values():
                model.reset()
        elif command is Command.SET_LEARNING_RATE:
            self._set_rate(np.array([argument], "<u4").view("<f4"))
        elif command is Command.FORGET_PROTOTYPES:
            train.forget_prototypes()
        elif command is Command.ADAPT:
            return self._adapt(Task.unpack(message, np.stack(samples)), samples)
        elif command is Command.FISHER_CLEAR:
            fisher = self._models[FISHER]
            fisher.clear(*self._potentials(fisher))
        elif command is Command.CHOOSE:
            return Reply(self._choose(message))
        elif command is Command.SELECT:
            return Reply(self._select(message))
        else:
            name = command.name.lower()
            raise InputError(
                f"{name}: expected a build of backend 'c', received one of backend 'tflm', which keeps no states"
            )
        return Reply(Status.OK)

    def _run(self, command: Command, label: int, x: np.ndarray) -> Reply:
        train = self._models[TRAIN]
        if self._has_prototypes and command is not Command.EMBEDDING and command is not Command.ENROLL:
            counts = train.read("counts")
            enrolled = counts.any() if command is Command.PREDICT else counts[label] > 0
            if not enrolled:
                return Reply(Status.NOT_ENROLLED)
        model = train
        if command is Command.FISHER_ACCUMULATE:
            # Both models see one state; what is chosen and trained belongs to the other.
            model = self._models[FISHER]
            for name in model.state:
                if name in train.state:
                    model.write(name, train.read(name))
        model.run(x, label, _RUNS[command])
        result = _RESULTS.get(command)
        payload = b"" if result is None else train.read(result).astype("<f4").tobytes()
        return Reply(Status.OK, payload=payload)

    # -------------------------------------------------------------- adaptation

    def _adapt(self, task: Task, samples: Sequence[np.ndarray]) -> Reply:
        train, temperature = self._models[TRAIN], float(self._files.description["prototypes"]["temperature"])
        episode, given = EpisodeRun(train, task, samples, temperature), train.read("rate")
        try:
            episode.enroll()
            if task.paced:
                self._set_rate((given if given.any() else self._learning_rate) * episode.pace())
            losses = [episode.iterate(iteration) for iteration in range(task.iterations)]
        except DeviceError:
            self._clear_gradients()  # what an unfinished iteration has accumulated
            raise
        finally:
            train.write("rate", given)
        episode.enroll()
        return Reply(Status.OK, payload=np.array(losses, "<f4").tobytes())

    def _set_rate(self, rate: np.ndarray) -> None:
        self._models[TRAIN].write("rate", np.maximum(rate, _NO_RATE).astype(np.float32).reshape(1))

    def _clear_gradients(self) -> None:
        train, copies = self._models[TRAIN], int(self._files.description["copies"])
        pool = train.read("pool")
        for begin, floats in self._parts():
            pool[begin + (copies - 1) * floats : begin + copies * floats] = 0
        train.write("pool", pool)
        control = train.read("control")
        control[tflm_params.Control.SAMPLES] = 0
        train.write("control", control)

    def _parts(self) -> Iterator[tuple[int, int]]:
        """Of every trained layer where its part of the pool begins, and the floats of its rows."""
        about = self._files.description
        copies, choice = int(about["copies"]), about["choice"]
        if choice is None:
            floats = [len(entry["channels"]) * int(entry["stride"]) for entry in about["rows"]]
        else:
            counts = self._models[TRAIN].read("choice")[: 3 * len(choice["candidates"]) : 3].tolist()
            floats = [n * int(c["stride"]) for n, c in zip(counts, choice["candidates"], strict=True)]
        begin = 0
        for size in floats:
            yield begin, size
            begin += copies * size

    # -------------------------------------------------------------- the row pool of the C backend

    def _row_pool(self) -> bytes:
        train, about = self._models[TRAIN], self._files.description
        if train.read("control")[tflm_params.Control.INITIALISED] == 0:
            # The first run copies the base rows of what is trained.
            train.run(None, 0, tflm_params.Command.PREDICT)
        memory = np.zeros(int(about["row_pool_bytes"]), np.uint8)

        def put(offset: int, values: np.ndarray) -> None:
            data = np.frombuffer(values.tobytes(), np.uint8)
            memory[offset : offset + data.size] = data

        pool, choice = train.read("pool"), about["choice"]
        if self._has_prototypes:
            put(int(about["prototypes"]["sums_offset"]), train.read("sums"))
            put(int(about["prototypes"]["counts_offset"]), train.read("counts"))
        if choice is None:
            for entry, (begin, floats) in zip(about["rows"], self._parts(), strict=True):
                put(int(entry["offset"]), pool[begin : begin + floats])
            return memory.tobytes()
        fisher = self._models[FISHER]
        put(int(choice["potentials_offset"]), np.concatenate([fisher.read(n) for n in self._potentials(fisher)]))
        put(int(choice["slots_offset"]), self._slots(train.read("choice"), choice))
        put(int(choice["rows_offset"]), pool[: int(choice["rows_bytes"]) // _FLOAT])
        return memory.tobytes()

    @staticmethod
    def _potentials(fisher: TflmModel) -> list[str]:
        return [name for name in fisher.state if name.startswith("potential_")]

    @staticmethod
    def _slots(words: np.ndarray, choice: Mapping[str, Any]) -> np.ndarray:
        parts = []
        for i, candidate in enumerate(choice["candidates"]):
            count, _, first = words[3 * i : 3 * i + 3]
            slots = np.full(int(candidate["channels"]), _FROZEN_SLOT, "<u2")
            slots[words[first : first + count]] = np.arange(count, dtype=np.uint16)
            parts.append(slots)
        return np.concatenate(parts)

    # -------------------------------------------------------------- choice

    def _choose(self, message: bytes) -> Status:
        """Takes what ``pack_choice`` makes: counts of the candidates, then a room for the channels of each."""
        train, choice = self._models[TRAIN], self._files.description["choice"]
        candidates = choice["candidates"]
        counts, rooms = np.split(np.frombuffer(message, "<u2"), [len(candidates)])
        words = np.zeros_like(train.read("choice"))
        offset, place, room = 0, 3 * len(candidates), 0
        for i, (candidate, count) in enumerate(zip(candidates, counts.tolist(), strict=True)):
            words[3 * i : 3 * i + 3] = count, offset, place
            words[place : place + count] = rooms[room : room + count]
            place, room = place + count, room + int(candidate["channels"])
            offset += int(choice["copies"]) * count * int(candidate["stride"])
        if _FLOAT * offset > int(choice["rows_bytes"]):
            return Status.ROW_POOL_TOO_SMALL
        train.write("choice", words)
        train.write("control", np.zeros(tflm_params.CONTROL_WORDS, np.int32))
        return Status.OK

    def _select(self, message: bytes) -> Status:
        """Takes what ``pack_budget`` makes; on a device the runtime's ``tt_select_channels`` does this."""
        choice, fisher = self._files.description["choice"], self._models[FISHER]
        table = _table(choice["table"])
        memory, ram, macs = struct.unpack("<3Q", message)
        ram = min(ram, table.fixed_ram_bytes + int(choice["rows_bytes"]))
        budget = Budget(*(None if limit == _NO_LIMIT else limit for limit in (memory, ram, macs)))
        names = [candidate["layer"] for candidate in choice["candidates"]]
        potentials = dict(zip(names, map(fisher.read, self._potentials(fisher)), strict=True))
        fingerprint = str(self._files.description["fingerprint"])
        try:
            plan = select(table, potentials, budget, share=float(choice["share"]), fingerprint=fingerprint)
        except InputError:
            return Status.BUDGET_TOO_SMALL
        return self._choose(pack_choice(plan, choice, fingerprint))


def _table(data: Mapping[str, Any]) -> CostTable:
    """A cost table from its form in simulation.json."""
    return CostTable(
        tuple(Candidate(**entry) for entry in data["candidates"]),
        tuple(SavedTensor(**entry) for entry in data["tensors"]),
        tuple(MacItem(**entry) for entry in data["mac_items"]),
        int(data["fixed_ram_bytes"]),
        int(data["backward_macs_full"]),
    )
