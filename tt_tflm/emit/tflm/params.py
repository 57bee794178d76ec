# SPDX-License-Identifier: Apache-2.0
"""Parameters of the custom TFLM ops: the structures of ops/tflm/tt_op_params.h, byte for byte.

That header says which op takes which structure, which flags, and which tensors in which order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Any

TRAIN, FISHER = "train.tflite", "fisher.tflite"
MAGIC = int.from_bytes(b"TTOP", "little")
VERSION = 2
FROZEN = -1
NO_BLOCK = -1
MAX_CANDIDATES = 64
CONTROL_WORDS = 3
EVERY_CANDIDATE = -1


class Op(IntEnum):
    """Number of an op in its parameters; ``tflite_name`` is what the resolver knows it by."""

    START = 1
    FINISH = 2
    CONV2D = 3
    CONV2D_GRAD_INPUT = 4
    CONV2D_GRAD_WEIGHTS = 5
    DEPTHWISE_CONV2D = 6
    DEPTHWISE_CONV2D_GRAD_INPUT = 7
    DEPTHWISE_CONV2D_GRAD_WEIGHTS = 8
    CLIP_MASK = 9
    MASK_GRAD = 10
    CLIP_GRAD = 11
    LEAKY_RELU_GRAD = 12
    SIGMOID_GRAD = 13
    TANH_GRAD = 14
    HARD_SWISH_GRAD = 15
    SOFTMAX_GRAD = 16
    ADD = 17
    ACCUMULATE = 18
    MULTIPLY = 19
    MULTIPLY_CHANNEL = 20
    CHANNEL_DOT = 21
    COPY = 22
    SLICE = 23
    CROP2D = 24
    AVG_POOL_GRAD = 25
    MAX_POOL_GRAD = 26
    SOFTMAX_CROSS_ENTROPY = 27
    PROTOTYPE_LOSS = 28
    SGD = 29
    MOMENTUM = 30
    ADAM = 31
    FISHER_POTENTIAL = 32
    CLIP = 33
    AFFINE = 34

    @property
    def tflite_name(self) -> str:
        """Name of the custom op in a .tflite file."""
        return f"TT_{self.name}"


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
    """``tt_window_t``; the fields of ``tvm_passes.kernels.geometry.Window``."""

    _fields_ = tuple((name, ctypes.c_int32) for name in WINDOW_FIELDS)


def _structure(name: str, **fields: type) -> type[ctypes.LittleEndianStructure]:
    body = {"_fields_": (("header", Header), *fields.items()), "__doc__": f"``{name}``."}
    return type(name, (ctypes.LittleEndianStructure,), body)


_INT, _FLOAT = ctypes.c_int32, ctypes.c_float

Plain = _structure("tt_op_plain_t")
Clip = _structure("tt_op_clip_t", low=_FLOAT, high=_FLOAT)
LeakyRelu = _structure("tt_op_leaky_relu_t", alpha=_FLOAT)
Softmax = _structure("tt_op_softmax_t", classes=_INT)
Slice = _structure("tt_op_slice_t", outer=_INT, offset=_INT)
Windowed = _structure("tt_op_window_t", window=WindowFields)
Weighted = _structure(
    "tt_op_weighted_t", window=WindowFields, stride=_INT, candidate=_INT, copies=_INT, low=_FLOAT, high=_FLOAT
)
GradWeights = _structure(
    "tt_op_grad_weights_t",
    window=WindowFields,
    stride=_INT,
    candidate=_INT,
    copies=_INT,
    block=_INT,
    scale=_FLOAT,
)
Optimizer = _structure(
    "tt_op_optimizer_t",
    channels=_INT,
    stride=_INT,
    candidate=_INT,
    copies=_INT,
    block=_INT,
    learning_rate=_FLOAT,
    momentum=_FLOAT,
    beta_1=_FLOAT,
    beta_2=_FLOAT,
    epsilon=_FLOAT,
)
Loss = _structure("tt_op_loss_t", classes=_INT, elements=_INT, batch_size=_INT, temperature=_FLOAT)
Start = _structure("tt_op_start_t", candidates=_INT, copies=_INT, classes=_INT, batch_size=_INT)
Finish = _structure("tt_op_finish_t", batch_size=_INT)

STRUCTURES: Mapping[Op, type[ctypes.LittleEndianStructure]] = {
    **dict.fromkeys(Op, Plain),
    **dict.fromkeys((Op.CLIP, Op.CLIP_MASK, Op.CLIP_GRAD), Clip),
    **dict.fromkeys((Op.CROP2D, Op.AVG_POOL_GRAD, Op.MAX_POOL_GRAD), Windowed),
    **dict.fromkeys((Op.CONV2D, Op.DEPTHWISE_CONV2D), Weighted),
    **dict.fromkeys((Op.CONV2D_GRAD_INPUT, Op.DEPTHWISE_CONV2D_GRAD_INPUT), Weighted),
    **dict.fromkeys((Op.CONV2D_GRAD_WEIGHTS, Op.DEPTHWISE_CONV2D_GRAD_WEIGHTS), GradWeights),
    **dict.fromkeys((Op.SGD, Op.MOMENTUM, Op.ADAM), Optimizer),
    **dict.fromkeys((Op.SOFTMAX_CROSS_ENTROPY, Op.PROTOTYPE_LOSS), Loss),
    Op.LEAKY_RELU_GRAD: LeakyRelu,
    Op.SOFTMAX_GRAD: Softmax,
    Op.SLICE: Slice,
    Op.START: Start,
    Op.FINISH: Finish,
}


def pack(op: Op, flags: Flag = Flag.NONE, guard: int = EVERY_CANDIDATE, **fields: Any) -> bytes:
    """The custom options of an op.

    Args:
        op: which op; it decides the structure.
        flags: combined flags.
        guard: bit mask over the candidates; -1 for all.
        fields: of the structure, all of them, by name; ``window`` as a mapping with the keys of ``WINDOW_FIELDS``.

    Raises:
        TypeError: a field is missing or unknown.
    """
    structure = STRUCTURES[op]
    names = [field[0] for field in structure._fields_[1:]]
    if set(fields) != set(names):
        raise TypeError(f"{op.tflite_name}: expected the fields {names}, received {sorted(fields)}")
    header = Header(MAGIC, VERSION, op, guard & 0xFFFFFFFF, guard >> 32 & 0xFFFFFFFF, flags)
    values = [WindowFields(*(fields[n][key] for key in WINDOW_FIELDS)) if n == "window" else fields[n] for n in names]
    return bytes(structure(header, *values))
