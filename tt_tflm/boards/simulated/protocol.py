# SPDX-License-Identifier: Apache-2.0
"""What simulated boards and this package say to each other: the Python side of ops/sim/tt_sim_protocol.h."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

PROTOCOL_VERSION = 6
WANTS_SAMPLE = 0x57414E54
REQUEST = struct.Struct("<II")
REPLY = struct.Struct("<5I")


class Command(IntEnum):
    """What a board can be asked for."""

    DESCRIBE = 0
    INIT = 1
    PREDICT = 2
    TRAIN_STEP = 3
    ENROLL = 4
    EMBEDDING = 5
    RESET = 6
    SET_LEARNING_RATE = 7
    READ_ROW_POOL = 8
    EXIT = 9
    FORGET_PROTOTYPES = 10
    FISHER_ACCUMULATE = 11
    FISHER_CLEAR = 12
    SELECT = 13
    CHOOSE = 14
    ADAPT = 15
    SAVE = 16
    LOAD = 17


class Status(IntEnum):
    """tt_status_t of ops/include/tt_status.h."""

    OK = 0
    NULL_POINTER = 1
    ARENA_TOO_SMALL = 2
    ROW_POOL_TOO_SMALL = 3
    MISALIGNED = 4
    LABEL_OUT_OF_RANGE = 5
    NOT_FINITE = 6
    NOT_ENROLLED = 7
    NOT_INITIALISED = 8
    INVALID_ARGUMENT = 9
    BUDGET_TOO_SMALL = 10
    STORAGE = 11
    STORAGE_TOO_SMALL = 12
    NO_STATE = 13
    OTHER_STATE = 14
    UNSUPPORTED = 15


_TEXT_AND_ADVICE: dict[int, tuple[str, str]] = {
    Status.NULL_POINTER: ("a required pointer is NULL", "the build's sources do not belong together; convert again"),
    Status.ARENA_TOO_SMALL: ("the arena is too small", "offer TT_MODEL_ARENA_BYTES of tt_model.h"),
    Status.ROW_POOL_TOO_SMALL: ("the row pool is too small", "offer TT_MODEL_ROW_POOL_BYTES of tt_model.h"),
    Status.MISALIGNED: ("the arena or the row pool is not 16-byte aligned", "place both on a 16-byte boundary"),
    Status.LABEL_OUT_OF_RANGE: ("the label is out of range", "use a label below the build's number of classes"),
    Status.NOT_FINITE: (
        "a value is NaN or infinite",
        "check the input; if it is finite, training has diverged: reset and use a smaller learning rate",
    ),
    Status.NOT_ENROLLED: ("the class has no enrolled sample", "call enroll(x, label) for it first"),
    Status.NOT_INITIALISED: ("the session is not initialised", "call tt_init first"),
    Status.INVALID_ARGUMENT: ("an argument is outside its range", "see the ranges in tt_model.h"),
    Status.BUDGET_TOO_SMALL: (
        "the budget is too small to train one channel",
        "raise it; tt_tflm.plan.select tells the least that fits",
    ),
    Status.STORAGE: ("the storage failed", "look at its read, write and erase functions"),
    Status.STORAGE_TOO_SMALL: (
        "the storage is too small for two states",
        "offer twice tt_state_bytes(session), in whole blocks",
    ),
    Status.NO_STATE: ("the storage holds no complete state", "save one first, or start from the base model"),
    Status.OTHER_STATE: (
        "the stored state is of another model or plan",
        "load it into the build that saved it, or save anew",
    ),
    Status.UNSUPPORTED: ("the build lacks what was called", "convert with the loss, optimiser or mode that has it"),
}


def status_text(status: int) -> str:
    """The text of tt_status_text for a status other than TT_OK."""
    text, _ = _TEXT_AND_ADVICE.get(status, ("unknown status", ""))
    return text


def status_message(status: int) -> str:
    """Text of a status other than TT_OK and what to do about it, in one line."""
    unknown = (f"unknown status {status}", "the build's sources do not belong together; convert again")
    text, advice = _TEXT_AND_ADVICE.get(status, unknown)
    return f"{text}: {advice}"


@dataclass(frozen=True)
class Description:
    """tt_sim_description_t: the build as its C header has it."""

    FORMAT = struct.Struct("<9I")

    protocol_version: int
    input_elements: int
    classes: int
    embedding_elements: int
    label_elements: int
    arena_bytes: int
    regions_bytes: int
    row_pool_bytes: int
    session_bytes: int

    @classmethod
    def unpack(cls, payload: bytes) -> Description:
        """Reads a description as a board sends it."""
        return cls(*cls.FORMAT.unpack(payload))


@dataclass(frozen=True)
class Request:
    """What a board is asked for.

    Args:
        command: what.
        argument: of the command.
        x: contiguous float32, for the commands that take a sample.
        message: for the commands that take one.
        samples: the support set, for ADAPT; the board asks for them one by one.
    """

    command: Command
    argument: int = 0
    x: np.ndarray | None = None
    message: bytes = b""
    samples: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class Reply:
    """A board's answer; `instructions` and `stack_bytes` are None where they are not measured, `payload` is empty
    unless the status is OK."""

    status: int
    instructions: int | None = None
    payload: bytes = b""
    stack_bytes: int | None = None
