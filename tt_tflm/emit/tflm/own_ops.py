# SPDX-License-Identifier: Apache-2.0
"""Which losses and optimisers have an op of TFLM to themselves (ops/tflm), and what becomes of others."""

from __future__ import annotations

import zlib

import numpy as np

from tt_tflm.errors import InputError
from tt_tflm.tflite.op_params import STRUCTURES, Op, OpCode
from tvm_passes.specs import LossSpec

SOFTMAX_LOSS, PROTOTYPE_LOSS = "tt_softmax_cross_entropy", "tt_prototypes_loss"


def has_own_op(loss: LossSpec) -> bool:
    """Whether TFLM has an op for that loss alone."""
    return loss.function == (PROTOTYPE_LOSS if loss.prototypes else SOFTMAX_LOSS)


def loss_id(loss: LossSpec) -> int:
    """The number, int32, by which TT_LOSS finds another."""
    return int(np.uint32(zlib.crc32(loss.kind.encode())).astype(np.int32))


def optimizer_op(kind: str) -> OpCode:
    """The op of an optimiser.

    Raises:
        InputError: it has none.
    """
    known: dict[str, OpCode] = {op.name.lower(): op for op in Op if STRUCTURES[op] is STRUCTURES[Op.SGD]}
    if kind not in known:
        raise InputError(
            f"optimizer: expected one of {', '.join(known)} with backend 'tflm', received {kind}: use backend 'c'"
        )
    return known[kind]
