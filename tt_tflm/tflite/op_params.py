# SPDX-License-Identifier: Apache-2.0
"""Parameters of the custom TFLM ops: the structures of ops/tflm/tt_op_params.h, byte for byte.

That header says which op takes which structure, which flags, and which tensors in which order. Codes and fields are
those that the operations are registered with (``tvm_passes.ops``).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Any

from tt_tflm.tflite.expression import MAX_CONSTANTS, MAX_STEPS, Program
from tvm_passes.ops import OPS, Tflm

TRAIN, FISHER = "train.tflite", "fisher.tflite"
MAGIC = int.from_bytes(b"TTOP", "little")
VERSION = 2
FROZEN = -1
NO_BLOCK = -1
MAX_CANDIDATES = 64
CONTROL_WORDS = 3
EVERY_CANDIDATE = -1


# What is no operation of the compiler's: how a run begins and ends, and the one op of all scalar expressions.
_OWN = {
    "start": Tflm(1, "start", dict.fromkeys(("candidates", "copies", "classes", "batch_size"), "int32")),
    "finish": Tflm(2, "finish", {"batch_size": "int32"}),
    "expression": Tflm(35, "expression", {"expression": "expression"}),
}
_TABLE = _OWN | {op.name: op.tflm for op in OPS.values() if op.tflm is not None}


class OpCode(IntEnum):
    """Number of an op in its parameters: the members are those of ``Op``."""

    @property
    def tflite_name(self) -> str:
        """Name of the custom op in a .tflite file."""
        return f"TT_{self.name}"


_CODES = sorted(((name.upper(), tflm.code) for name, tflm in _TABLE.items()), key=lambda entry: entry[1])
# Any, since no checker knows the members.
Op: Any = OpCode("Op", _CODES)  # type: ignore[call-arg, arg-type]


class Flag(IntFlag):
    """Flags of an op, see ``tt_op_flag_t``."""

    NONE = 0
    IN_PLACE = 1
    LOW = 2
    HIGH = 4
    BIAS = 8
    WEIGHTS = 16
    ACCUMULATE = 32
    RATE = 64
    FISHER = 128
    SEED = 256
    ACTIVE = 512
    VECTOR = 1024


class Command(IntEnum):
    """What one run is to do: the input tensor ``command``."""

    PREDICT = 0
    TRAIN = 1
    ENROLL = 2
    FISHER = 3
    ACCUMULATE = 4
    UPDATE = 5


class Control(IntEnum):
    """Words of the state tensor ``control``; all 0 means: begin afresh."""

    INITIALISED = 0
    STEPS = 1
    SAMPLES = 2


class Header(ctypes.LittleEndianStructure):
    """``tt_op_header_t``."""

    _fields_ = (
        ("magic", ctypes.c_uint32),
        ("version", ctypes.c_uint16),
        ("op", ctypes.c_uint16),
        ("guard_low", ctypes.c_uint32),
        ("guard_high", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


WINDOW_FIELDS = ("H", "W", "C", "OH", "OW", "O", "kh", "kw", "sh", "sw", "pt", "pl")


class WindowFields(ctypes.LittleEndianStructure):
    """``tt_window_t``; the fields of ``tvm_passes.kernels.geometry.Window`` but dilation and groups."""

    _fields_ = tuple((name, ctypes.c_int32) for name in WINDOW_FIELDS)


class ExpressionFields(ctypes.LittleEndianStructure):
    """``tt_expression_t``."""

    _fields_ = (
        ("operands", ctypes.c_int32),
        ("steps", ctypes.c_int32),
        ("code", ctypes.c_uint8 * MAX_STEPS),
        ("constants", ctypes.c_float * MAX_CONSTANTS),
    )

    @classmethod
    def of(cls, program: Program) -> ExpressionFields:
        """A program in its place; what it leaves free is 0."""
        return cls(
            program.operands,
            len(program.code),
            (ctypes.c_uint8 * MAX_STEPS)(*program.code),
            (ctypes.c_float * MAX_CONSTANTS)(*program.constants),
        )


_TYPES = {"int32": ctypes.c_int32, "float32": ctypes.c_float, "window": WindowFields, "expression": ExpressionFields}


def _structures() -> dict[OpCode, type[ctypes.LittleEndianStructure]]:
    """The structure of every op; ops that name one structure share it.

    Raises:
        ValueError: two ops give a structure of one name different fields.
    """
    found: dict[str, type[ctypes.LittleEndianStructure]] = {}
    result = {}
    for name, tflm in _TABLE.items():
        fields = (("header", Header), *((field, _TYPES[kind]) for field, kind in tflm.fields.items()))
        body = {"_fields_": fields, "__doc__": f"``tt_op_{tflm.structure}_t``."}
        made = type(f"tt_op_{tflm.structure}_t", (ctypes.LittleEndianStructure,), body)
        structure = found.setdefault(tflm.structure, made)
        if structure._fields_ != fields:
            raise ValueError(f"operation '{name}': expected the fields of {structure.__name__}, received {tflm.fields}")
        result[Op[name.upper()]] = structure
    return result


STRUCTURES: Mapping[OpCode, type[ctypes.LittleEndianStructure]] = _structures()


def pack(op: OpCode, flags: Flag = Flag.NONE, guard: int = EVERY_CANDIDATE, **fields: Any) -> bytes:
    """The custom options of an op.

    Args:
        op: which op; it decides the structure.
        flags: combined flags.
        guard: bit mask over the candidates; -1 for all.
        fields: of the structure, all of them, by name; ``window`` as a mapping with the keys of ``WINDOW_FIELDS``,
            ``expression`` as a ``Program``.

    Raises:
        TypeError: a field is missing or unknown.
    """
    structure = STRUCTURES[op]
    names = [field[0] for field in structure._fields_[1:]]
    if set(fields) != set(names):
        raise TypeError(f"{op.tflite_name}: expected the fields {names}, received {sorted(fields)}")
    header = Header(MAGIC, VERSION, op, guard & 0xFFFFFFFF, guard >> 32 & 0xFFFFFFFF, flags)
    return bytes(structure(header, *(_value(name, fields[name]) for name in names)))


def _value(name: str, value: Any) -> Any:
    if name == "window":
        return WindowFields(*(value[key] for key in WINDOW_FIELDS))
    return ExpressionFields.of(value) if name == "expression" else value
